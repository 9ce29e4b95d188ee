"""Material: what is said of the selection comes first, each in one line as people count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import source
from gateway.domain.material import NO_FILE, Diagnostic, Material, Related, nearest
from gateway.domain.source import Position, Selection

CONTENT = "".join(f"line {number}\n" for number in range(30))


def material(first: int, last: int, *lines: int, content: str = CONTENT) -> Material:
    """Whole lines from `first` up to and with `last`, both from 0."""
    file = source.read("src/a.py", content)
    span = file.span(Selection(Position(first, 0), Position(last, 1)))
    said = tuple(Diagnostic(line, "error", f"no. {at}") for at, line in enumerate(lines))
    return Material(file, span, "mend it", diagnostics=said)


def order(sent: Material) -> list[int]:
    return [said.line for said in nearest(sent)]


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("x is unused", "line 10 warning: x is unused\n"),
        ("two\r\nlines\n\n  and\tmore\u2028here\r", "line 10 warning: two lines and more here\n"),
        ("값이 없습니다 ", "line 10 warning: 값이 없습니다\n"),
        ("", "line 10 warning: \n"),
    ],
)
def test_a_diagnostic_is_one_line_counted_from_one(message: str, text: str) -> None:
    assert Diagnostic(9, "warning", message).text == text


@given(st.integers(0, 10**6), st.text())
def test_no_message_breaks_its_line(line: int, message: str) -> None:
    text = Diagnostic(line, "hint", message).text
    assert text.splitlines(keepends=True) == [text]
    assert text.endswith("\n")


def test_what_lies_in_the_selection_comes_first_then_what_is_next_to_it() -> None:
    assert order(material(10, 12, 0, 29, 14, 9, 13, 8, 12, 10)) == [12, 10, 9, 13, 14, 8, 0, 29]


def test_at_the_same_distance_the_order_is_the_clients() -> None:
    sent = material(10, 12, 13, 9, 11, 10, 12, 9)
    assert [said.message[4:] for said in nearest(sent)] == ["2", "3", "4", "0", "1", "5"]


def test_the_line_below_the_selection_is_outside_it() -> None:
    assert order(material(10, 10, 11, 10)) == [10, 11]
    assert order(material(10, 10, 9, 10)) == [10, 9]


def test_an_empty_selection_at_the_end_of_the_file_has_what_is_near_it() -> None:
    file = source.read("a.py", "a\nb\n")
    end = Position(2, 0)
    said = (Diagnostic(0, "error", "far"), Diagnostic(1, "error", "near"))
    sent = Material(file, file.span(Selection(end, end)), "", diagnostics=said)
    assert sent.span.first_line == sent.span.end_line == 2
    assert order(sent) == [1, 0]


def test_a_line_past_the_end_of_the_file_is_only_far_away() -> None:
    assert order(material(28, 29, 9_999, 0, 28)) == [28, 0, 9_999]


def test_without_diagnostics_there_are_none() -> None:
    assert nearest(material(0, 0)) == []


@given(st.lists(st.integers(0, 40)), st.integers(0, 29), st.integers(0, 29))
def test_the_distance_never_falls_and_nothing_is_lost(lines: list[int], a: int, b: int) -> None:
    first, last = sorted((a, b))
    sent = material(first, last, *lines)
    found = order(sent)
    assert sorted(found) == sorted(lines)
    away = [min(abs(line - own) for own in range(first, last + 1)) for line in found]
    assert away == sorted(away)


def test_a_related_file_is_an_open_one_unless_the_client_says_more() -> None:
    assert Related("b.py", "x").reason == "open"


def test_the_files_that_are_known_to_be_there() -> None:
    file = source.read("a.py", "x = 1\n")
    related = (Related("b.py", ""), Related("c.py", "", "declaration"), Related("d.py", "", "edit"))
    assert Material(file, file.whole, "", related=related).paths == {"a.py", "b.py", "d.py"}
    assert Material(NO_FILE, NO_FILE.whole, "").paths == frozenset()
    assert not Material(NO_FILE, NO_FILE.whole, "").has_file


def test_the_files_that_are_there_are_named_as_diffs_name_them() -> None:
    file = source.read("./src/a.py", "x")
    related = (Related("./b.py", "x"), Related("c//d.py", "x"), Related("e.py", "x", "declaration"))
    assert Material(file, file.whole, "", related=related).paths == {"src/a.py", "b.py", "c/d.py"}
