"""A step is told once, with its times, its facts and what ended it."""

from __future__ import annotations

import pytest

from gateway.domain.errors import Overloaded
from gateway.domain.step import Step, stepping, untold


def ticking() -> float:
    TICKS.append(float(len(TICKS)))
    return TICKS[-1]


TICKS: list[float] = []


@pytest.fixture(autouse=True)
def from_zero() -> None:
    TICKS.clear()


def test_what_happens_inside_is_one_step() -> None:
    told: list[Step] = []
    with stepping("context.build", ticking, told.append) as facts:
        facts["parts"] = 3
        assert told == []
    assert told == [Step("context.build", 0.0, 1.0, {"parts": 3})]


@pytest.mark.parametrize(
    ("error", "code"), [(Overloaded(), Overloaded.code), (KeyError("secret"), "KeyError")]
)
def test_what_ends_it_goes_on_and_is_named_without_its_words(error: Exception, code: str) -> None:
    told: list[Step] = []
    with pytest.raises(type(error)), stepping("x", ticking, told.append):
        raise error
    assert told == [Step("x", 0.0, 1.0, {}, code)]


def test_who_does_not_want_to_know_is_told_nothing() -> None:
    with stepping("x", ticking, untold):
        pass
    assert len(TICKS) == 2
