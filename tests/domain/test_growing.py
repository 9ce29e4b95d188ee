"""Changes while they are being said: final ones only, each at its lines, whatever the pieces."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import source
from gateway.domain.growing import Growing
from gateway.domain.source import Position, Selection
from gateway.domain.text_edits import TextEdit, apply

BEFORE = "import os\n\n\n"
SELECTED = "".join(f"line_{number} = {number}\n" for number in range(12))
FILE = source.read("a.py", BEFORE + SELECTED + "end()\n")
SPAN = FILE.span(Selection(Position(3, 0), Position(15, 0)))
NEW = SELECTED.replace("line_2 = 2\n", "two = 2\nmore()\n").replace("line_8 = 8\n", "")


def grown(text: str, size: int = 7) -> list[TextEdit]:
    growing = Growing(FILE, SPAN, "utf-16")
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [edit for piece in pieces for edit in growing.feed(piece)]


@pytest.mark.parametrize("size", [1, 3, 50, 1000])
def test_each_change_comes_once_unchanged_lines_follow(size: int) -> None:
    first, second = grown(NEW, size)
    assert (first.range.start, first.range.end) == (Position(5, 0), Position(6, 0))
    assert first.new_text == "two = 2\nmore()\n"
    assert (second.range.start, second.range.end) == (Position(11, 0), Position(12, 0))
    assert second.new_text == ""
    after = FILE.replace(SPAN, NEW)
    assert apply([first, second], FILE.content, "utf-8") == after


def test_a_change_is_told_before_the_answer_ends() -> None:
    growing = Growing(FILE, SPAN, "utf-16")
    head, rest = NEW.split("line_4")
    assert growing.feed(head) == []
    assert len(growing.feed("line_4" + rest[:6])) == 1


def test_the_same_text_gives_no_change() -> None:
    assert grown(SELECTED) == []


@pytest.mark.parametrize(
    "text",
    [
        "```python\n" + NEW,
        "<think>\n" + NEW,
        "import os\n\n" + NEW,
        "".join("    " + row for row in NEW.splitlines(keepends=True)),
    ],
)
def test_an_answer_that_is_not_plainly_the_text_gives_none(text: str) -> None:
    assert grown(text) == []


def test_new_lines_end_as_those_of_the_file() -> None:
    file = source.read("a.py", SELECTED.replace("\n", "\r\n"))
    growing = Growing(file, file.whole, "utf-16")
    assert [edit.new_text for edit in growing.feed(NEW)] == ["two = 2\r\nmore()\r\n", ""]


@given(st.integers(0, 10**6))
def test_what_was_told_leads_to_the_text_that_is_said(seed: int) -> None:
    draw = random.Random(seed)
    rows = [f"{draw.choice('abcdef')}{draw.randrange(3)}\n" for _ in range(draw.randrange(1, 25))]
    new = list(rows)
    for _ in range(draw.randrange(1, 4)):
        at = draw.randrange(len(new) + 1)
        new[at : at + draw.randrange(3)] = [f"new{draw.randrange(9)}\n"] * draw.randrange(3)
    file = source.read("a.py", "".join(rows))
    growing = Growing(file, file.whole, "utf-16")
    found = growing.feed("".join(new))
    done = max((edit.end for edit in found), default=0)
    made = apply(found, file.content[:done], "utf-8")
    assert "".join(new).encode().startswith(made)
