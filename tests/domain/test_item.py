"""Items: what is counted of a candidate, what it costs, and lines that are too long."""

from __future__ import annotations

from gateway.domain.item import LONGEST_LINE, MARKER, Form, Item, Piece, clipped, cost, strings
from gateway.domain.structure import marker


def test_a_string_is_counted_with_the_frame_that_a_template_puts_around_it() -> None:
    item = Item("i", "turn", pieces=(Piece("p", "text", "<frame>"), Piece("q", "more")))
    file = Item("f", "related", forms=(Form("included", Piece("r", "whole", "<f>")),))
    assert strings([item, file]) == {
        MARKER: marker(999_999),
        "p": "<frame>text",
        "q": "more",
        "r": "<f>whole",
    }


def test_no_marker_is_longer_than_the_one_that_is_counted() -> None:
    assert marker(12) == "[... 12 lines not shown ...]\n"
    assert len(marker(999_999)) == len(strings([])[MARKER])


def test_a_file_costs_what_its_best_form_does() -> None:
    forms = (Form("included", Piece("a", "x")), Form("outlined", Piece("b", "x")))
    assert cost(Item("f", "related", forms=forms), {"a": 9, "b": 2, MARKER: 5}) == 9


def test_what_was_cut_already_costs_its_markers_too() -> None:
    pieces = (Piece("a", "x\n", runs=((0, 1),)), Piece("b", "x\n", runs=((4, 6),)))
    item = Item("before", "before", range=(0, 9), pieces=pieces, unseen=6)
    assert cost(item, {"a": 1, "b": 2, MARKER: 5}) == 1 + 2 + 2 * 5


def test_of_a_line_that_only_a_machine_writes_both_ends_are_shown() -> None:
    rows, count = clipped(["short\n", "x" * 5000 + "END\r\n"])
    assert (rows[0], count) == ("short\n", 1)
    assert rows[1].startswith("x" * 500 + "[... 4003 characters not shown ...]x")
    assert rows[1].endswith("END\r\n")
    assert len(rows[1]) < LONGEST_LINE
