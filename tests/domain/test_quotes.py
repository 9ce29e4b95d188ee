"""Quoted lines are found where they stand, as the client counts; what is not there is not found."""

from __future__ import annotations

import sys

import pytest

from gateway.domain import source
from gateway.domain.material import Material
from gateway.domain.quotes import Quotes
from gateway.domain.source import PositionEncoding, Selection

TEXT = "import os\n\n\ndef f(x):\n    y = 1  # 한🙂\n    return y\n\n\ndef g(x):\n    return y\n"


def quotes(
    text: str = TEXT, first: int = 0, end: int | None = None, units: PositionEncoding = "utf-16"
) -> Quotes:
    file = source.read("a.py", text)
    span = file.whole if end is None else file.lines(first, end)
    return Quotes(Material(file, span, ""), units)


def shown(found: Selection | None) -> tuple[int, int, int, int] | None:
    if found is None:
        return None
    return found.start.line, found.start.character, found.end.line, found.end.character


@pytest.mark.parametrize(
    ("quote", "place"),
    [
        ("def f(x):", (3, 0, 3, 9)),
        ("    y = 1  # 한🙂", (4, 4, 4, 16)),
        ("y = 1  # 한🙂", (4, 4, 4, 16)),
        ("def f(x):\n    y = 1  # 한🙂", (3, 0, 4, 16)),
        ("import os\n", (0, 0, 0, 9)),
        ("mport o", (0, 1, 0, 8)),
        ("한🙂", None),  # too short a part to look for
        ("# 한🙂", (4, 11, 4, 16)),
        ("def h(x):", None),
        ("return", None),  # in two lines
        ("", None),
        ("\n\n", None),
    ],
)
def test_a_line_is_found_as_it_stands_or_without_its_spaces(
    quote: str, place: tuple[int, int, int, int] | None
) -> None:
    assert shown(quotes().find(quote)) == place


def test_a_line_that_occurs_twice_is_given_from_the_top() -> None:
    found = quotes()
    assert [shown(found.find("    return y")) for _ in range(3)] == [
        (5, 4, 5, 12),
        (9, 4, 9, 12),
        (5, 4, 5, 12),
    ]


def test_only_the_selection_is_looked_at() -> None:
    found = quotes(first=8, end=10)
    assert shown(found.find("    return y")) == (9, 4, 9, 12)
    assert found.find("import os") is None


@pytest.mark.parametrize(("units", "end"), [("utf-8", 20), ("utf-16", 16), ("utf-32", 15)])
def test_positions_are_in_the_units_of_the_client(units: PositionEncoding, end: int) -> None:
    assert shown(quotes(units=units).find("y = 1  # 한🙂")) == (4, 4, 4, end)


def test_carriage_returns_are_no_part_of_a_line() -> None:
    assert shown(quotes("a = 1\r\n  b = 2\r\n").find("  b = 2")) == (1, 2, 1, 7)


def test_a_line_whose_secret_was_taken_out_is_found_by_what_was_shown() -> None:
    file = source.read("a.py", "KEY = 'ghp_real'\n")
    material = Material(file, file.whole, "", shown="KEY = 'SECRET_REMOVED_0001_'\n")
    found = Quotes(material)
    assert shown(found.find("KEY = 'SECRET_REMOVED_0001_'")) == (0, 0, 0, 16)
    assert shown(found.find("SECRET_REMOVED_0001_")) == (0, 0, 0, 16)


def test_what_is_not_there_is_not_compared_with_every_line() -> None:
    found = quotes("".join(f"line {at}\n" for at in range(2000)))
    calls: list[str] = []
    sys.setprofile(lambda frame, event, arg: calls.append(event))
    try:
        assert found.find("no such line\nnor this") is None
    finally:
        sys.setprofile(None)
    assert len(calls) < 200
