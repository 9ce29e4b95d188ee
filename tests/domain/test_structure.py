"""Structure: who holds which lines, what an outline leaves out, and runs of lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.structure import (
    Definition,
    Run,
    Structure,
    excerpt,
    identifiers,
    joined,
    marker,
    size,
    within,
    without,
)

METHOD = Definition("total", 3, 7, (4, 7))
CLASS = Definition("Cart", 2, 12, (3, 12), scope=True)
NESTED = Definition("inner", 5, 7, (6, 7))
SHORT = Definition("short", 8, 10, (9, 10))
FOUND = Structure((CLASS, METHOD, NESTED, SHORT), ((0, 1),), "syntax")
ROWS = [f"row {number}\n" for number in range(14)]

runs = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


def lines_of(found: tuple[Run, ...] | list[Run]) -> set[int]:
    return {line for first, end in found for line in range(first, end)}


def test_what_is_around_a_line_comes_outermost_first() -> None:
    assert FOUND.around(6, 7) == (CLASS, METHOD, NESTED)
    assert FOUND.around(2, 9) == (CLASS,)
    assert FOUND.around(0, 1) == ()


def test_definitions_are_found_by_their_names() -> None:
    assert FOUND.named({"total", "short", "no"}) == (METHOD, SHORT)


def test_an_outline_leaves_out_bodies_that_are_longer_than_a_marker() -> None:
    shown = FOUND.outline(14)
    assert shown == ((0, 4), (7, 14))
    text = excerpt(ROWS, shown)
    assert text.splitlines()[3:6] == ["row 3", "[... 3 lines not shown ...]", "row 7"]


def test_an_outline_keeps_the_bodies_that_are_asked_for() -> None:
    assert FOUND.outline(14, whole=[METHOD]) == ((0, 14),)


def test_a_structure_moves_with_the_lines_in_front_of_it() -> None:
    moved = FOUND.moved(100)
    assert moved.around(106, 107)[-1] == Definition("inner", 105, 107, (106, 107))
    assert moved.imports == ((100, 101),)


def test_identifiers_are_words_of_two_letters_or_more() -> None:
    assert identifiers("x = load_user(id=7, 이름)") == {"load_user", "id", "이름"}


def test_an_excerpt_marks_each_gap_with_how_much_is_missing() -> None:
    assert excerpt(ROWS, [(2, 3), (5, 6)]).splitlines() == [
        "[... 2 lines not shown ...]",
        "row 2",
        "[... 2 lines not shown ...]",
        "row 5",
        "[... 8 lines not shown ...]",
    ]
    assert excerpt(ROWS, [(0, 14)]) == "".join(ROWS)
    assert excerpt(["a", "b"], [(7, 8)], first=7) == "a\n" + marker(1)


@given(runs, runs)
def test_runs_are_sets_of_lines(ones: list[Run], others: list[Run]) -> None:
    assert lines_of(joined(ones)) == lines_of(ones)
    assert lines_of(without(ones, others)) == lines_of(ones) - lines_of(others)
    assert lines_of(within(ones, 5, 20)) == lines_of(ones) & set(range(5, 20))
    assert size(joined(ones)) == len(lines_of(ones))
    found = joined(ones)
    assert all(one[1] < other[0] for one, other in pairwise(found))
