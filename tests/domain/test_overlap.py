"""Repeated context: cut where it is one for certain, named where it may be meant."""

from __future__ import annotations

import pytest

from gateway.domain.overlap import Trimmed, trim

OLD = ["def f(x):", "    return x"]
NEW = ["def f(x):", "    return x + 1"]
BEFORE = ["import os", "import sys", "", ""]
AFTER = ["", "", "def g():", "    return 2"]


def rows(text: str) -> list[str]:
    return text.split("\n")


@pytest.mark.parametrize("blanks", range(5))
def test_context_whose_blank_lines_differ_is_cut_all_the_same(blanks: int) -> None:
    above = ["import os", *[""] * (blanks % 2), "import sys", *[""] * blanks]
    found = trim([*above, *NEW], OLD, BEFORE, [])
    assert [row for row in found.rows or [] if row] == NEW
    below = [*[""] * blanks, "def g():", *[""] * (blanks % 2), "    return 2"]
    found = trim([*NEW, *below], OLD, [], AFTER)
    assert [row for row in found.rows or [] if row] == NEW


@pytest.mark.parametrize("before", [["import os"], ["x = 1", "import os"], ["import os", ""]])
def test_one_import_that_is_said_again_is_cut(before: list[str]) -> None:
    assert trim(["import os", *NEW], OLD, before, []) == Trimmed(NEW)
    blank = trim(["import os", "", *NEW], ["", *OLD], before, []).rows or []
    assert [row for row in blank if row] == NEW


def test_an_import_from_farther_up_is_left_and_named() -> None:
    found = trim(["import os", *NEW], OLD, BEFORE, [])
    assert found == Trimmed(["import os", *NEW], "import os")


def test_one_line_that_is_said_again_may_be_meant_and_is_named() -> None:
    found = trim(["total += 1", *NEW], OLD, ["total += 1"], [])
    assert found == Trimmed(["total += 1", *NEW], "total += 1")
    assert trim([*NEW, "done()"], OLD, [], ["done()"]).repeated == "done()"


def test_lines_that_the_selection_starts_with_are_its_own() -> None:
    same = ["a()", "b()"]
    assert trim([*same, "c()"], [*same, "d()"], same, []) == Trimmed([*same, "c()"])
    twice = trim([*same, *same, "c()"], [*same, "d()"], same, [])
    assert twice == Trimmed([*same, "c()"])


def test_brackets_alone_are_no_context() -> None:
    assert trim(["x", "}", "}"], ["y"], [], ["}", "}"]) == Trimmed(["x", "}", "}"])


def test_an_answer_of_nothing_but_context_is_none() -> None:
    assert trim(["import os", "", "import sys"], OLD, BEFORE, []).rows is None


def test_a_whole_file_is_cut_down_to_the_selection() -> None:
    found = trim([*BEFORE, *NEW, *AFTER], OLD, BEFORE, AFTER)
    assert [row for row in found.rows or [] if row] == NEW
    assert found.repeated == ""


def test_a_line_of_the_selection_that_only_moved_is_not_repeated_context() -> None:
    old, swapped = ["def f():", "    raise error"], ["    raise error", "def f():"]
    above, below = ["def e():", "    raise error"], ["def g():", "    pass"]
    assert trim([*swapped, *below], old, above, below).rows == swapped
