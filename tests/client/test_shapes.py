"""JSON to dataclasses: nothing unknown is lost, nothing wrong gets in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from gateway.client import InvalidAnswer
from gateway.client.shapes import read


@dataclass(frozen=True, slots=True)
class Inner:
    name: str


@dataclass(frozen=True, slots=True)
class Outer:
    number: int
    share: float = 0.0
    inner: Inner | None = None
    rows: tuple[Inner, ...] = ()
    anything: Any = None
    word: Literal["a", "b"] = "a"
    extra: Mapping[str, Any] = field(default_factory=dict)


def test_fields_become_what_they_are_declared_as() -> None:
    said = {
        "number": 1,
        "share": 2,
        "inner": {"name": "a"},
        "rows": [{"name": "b"}],
        "anything": [],
    }
    assert read(Outer, {**said, "anything": []}) == Outer(1, 2, Inner("a"), (Inner("b"),), [])
    assert read(Outer, {"number": 1, "inner": None}) == Outer(1)


def test_what_is_unknown_is_kept_and_cannot_pose_as_extra() -> None:
    assert read(Outer, {"number": 1, "new": [1]}).extra == {"new": [1]}
    assert read(Outer, {"number": 1, "extra": {"x": 1}}).extra == {}
    assert read(Inner, {"name": "a", "new": 1}) == Inner("a")


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ([], "the answer is no JSON object"),
        ({}, "number is missing"),
        ({"number": "1"}, "the answer: number is str, not int"),
        ({"number": True}, "number is bool, not int"),
        ({"number": None}, "number is NoneType"),
        ({"number": 1, "rows": {}}, "rows is no list"),
        ({"number": 1, "rows": [{"name": 1}]}, r"rows\[0\]: name is int"),
        ({"number": 1, "word": "c"}, "word is 'c', not one of"),
        ({"number": 1, "inner": 3}, "inner is no JSON object"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(said: object, where: str) -> None:
    with pytest.raises(InvalidAnswer, match=where):
        read(Outer, said)
