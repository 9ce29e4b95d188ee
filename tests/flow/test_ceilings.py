"""How much a model holds, and the models that may stand in for it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.errors import LLMError
from gateway.domain.ports import Fallback
from gateway.domain.retry import Fault
from gateway.flow import ceilings as rooms
from gateway.flow.ceilings import Ceilings, Reach
from gateway.testing.fakes import FakeClock, FakeRouter, FakeTokens


class Fleet(FakeTokens):
    """Windows by model; an error is raised."""

    def __init__(self, **windows: int | Exception | None) -> None:
        super().__init__()
        self.windows = windows
        self.asked_for: list[str] = []

    async def ceiling(self, model: str) -> int | None:
        self.asked_for.append(model)
        found = self.windows[model]
        if isinstance(found, Exception):
            raise found
        if found == 0:
            await asyncio.Event().wait()
        return found


class Table(FakeRouter):
    """m → n, after a prompt that is too long → big; n → other → m."""

    def fallbacks(self, model: str, fault: Fault) -> tuple[Fallback, ...]:
        if fault is Fault.CONTEXT_WINDOW:
            return (Fallback("big"),) if model == "m" else ()
        return {"m": (Fallback("n"),), "n": (Fallback("other"),), "other": (Fallback("m"),)}.get(
            model, ()
        )


def reach(fleet: Fleet) -> Reach:
    ceilings = Ceilings(fleet, FakeClock(1.0))
    return Reach(Table, lambda: ceilings)


async def test_a_window_is_asked_for_once_in_a_while() -> None:
    fleet, clock = Fleet(m=100), FakeClock(1.0)
    ceilings = Ceilings(fleet, clock)
    assert [await ceilings.of("m") for _ in range(3)] == [100] * 3
    clock.now += 31
    await ceilings.of("m")
    assert fleet.asked_for == ["m", "m"]


@pytest.mark.parametrize("trouble", [None, 0, LLMError()], ids=["untold", "late", "failed"])
async def test_one_that_nobody_tells_is_unknown_and_soon_asked_for_again(
    trouble: int | Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms, "_ASK_SECONDS", 0.01)
    fleet, clock = Fleet(m=trouble), FakeClock(1.0)
    ceilings = Ceilings(fleet, clock)
    assert [await ceilings.of("m") for _ in range(2)] == [None, None]
    assert len(fleet.asked_for) == 1
    fleet.windows["m"] = 100
    clock.now += 6
    assert await ceilings.of("m") == 100


def test_a_call_may_go_to_all_that_stand_in_for_its_model_and_for_those() -> None:
    assert reach(Fleet()).models("m") == ("m", "n", "big", "other")
    assert reach(Fleet()).models("big") == ("big",)


async def test_it_may_use_the_largest_window_of_them_all() -> None:
    fleet = Fleet(m=100, n=80, big=900, other=None)
    assert await reach(fleet).window("m") == 900


async def test_nobody_can_tell_where_the_model_itself_does_not() -> None:
    assert await reach(Fleet(m=None, n=80, big=900, other=10)).window("m") is None
