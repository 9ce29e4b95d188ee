"""The original: the selected lines and all around them, as they are in the file."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import source
from gateway.domain.original import Original
from gateway.domain.source import Position, Selection


def original(content: str | bytes, first: int, last: int, **more: str) -> Original:
    file = source.read("src/a.py", content, **more)
    return Original.of(file, file.span(Selection(Position(first, 0), Position(last, 0))))


def test_the_lines_of_a_file_come_with_all_that_is_known_of_it() -> None:
    raw = "\ufeff# 시작\r\nx = 1 \r\ny = 2\r\nend".encode()
    assert original(raw, 1, 2) == Original(
        selected="x = 1 \r\n",
        before="# 시작\r\n",
        after="y = 2\r\nend",
        language="python",
        eol="\r\n",
        encoding="utf-8",
    )


def test_the_encoding_and_the_language_are_those_of_the_file() -> None:
    found = original("값 = 1\n둘 = 2\n".encode("cp949"), 1, 1, encoding="ms949", language="Ruby")
    assert (found.selected, found.before) == ("둘 = 2\n", "값 = 1\n")
    assert (found.encoding, found.language, found.eol) == ("cp949", "ruby", "\n")


def test_new_lines_end_as_most_lines_do() -> None:
    assert original("a\nb\r\nc\r\n", 0, 0).eol == "\r\n"
    assert original("a\nb\r\n", 0, 0).eol == "\n"
    assert original("", 0, 0).eol == "\n"


@pytest.mark.parametrize(
    ("before", "number"),
    [
        ("", 1),
        ("a\n", 2),
        ("a\r\nb\r\n", 3),
        ("a\rb\u2028c\x0c\x85\n", 2),  # git counts line feeds and nothing else
    ],
)
def test_the_first_line_is_counted_from_one_as_git_counts(before: str, number: int) -> None:
    assert Original("x\n", before).first_line == number


def test_the_first_line_is_the_first_of_the_span() -> None:
    file = source.read("a.txt", "\ufeffa\nb\n\nc")
    span = file.span(Selection(Position(2, 0), Position(3, 1)))
    assert Original.of(file, span).first_line == span.first_line + 1 == 3


@pytest.mark.parametrize(
    ("row", "does"),
    [
        ("x = 1", True),
        ("  x = 1\t\r", True),
        ("값", True),
        ("", False),
        ("x", False),
        ("x = 1\ny", False),
    ],
)
def test_a_row_is_known_by_its_text_without_the_spaces_around(row: str, does: bool) -> None:
    assert Original("    x = 1  \r\n값\r\ny").has_row(row) is does


def test_a_final_line_end_or_a_blank_line_is_an_empty_row() -> None:
    assert Original("x\n").has_row(" ")
    assert not Original("x").has_row(" ")


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Original("x").selected = "y"  # type: ignore[misc]


contents = st.lists(st.sampled_from(["a", "\n", "\r\n", "\r", " ", "가", "\u2028"])).map("".join)


@given(contents, st.data())
def test_the_three_parts_are_the_file(content: str, data: st.DataObject) -> None:
    file = source.read("a.txt", content)
    count = file.content.count(b"\n") + content.replace("\r\n", "\n").count("\r") + 1
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first, count - 1))
    span = file.span(Selection(Position(first, 0), Position(last, 0)))
    found = Original.of(file, span)
    assert found.before + found.selected + found.after == content
    assert not found.before or found.before.endswith("\n")
    assert not found.after or found.selected.endswith("\n")
