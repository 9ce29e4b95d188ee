"""Indentation: what a file uses, and that only a plain slip of the model is mended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import indent
from gateway.domain.indent import Rebased, rebase

leads = st.text(alphabet=" \t", max_size=9)
bodies = st.sampled_from(["", "a()", "b = 1", "if x:", "}", "else:", "값 = 1", "# \u2028 c", "\r"])
blocks = st.lists(st.builds(str.__add__, leads, bodies), max_size=7)


# ── what a file uses ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "lead"),
    [("  \tx ", "  \t"), ("x", ""), ("", ""), (" \t", " \t"), ("\u3000x", ""), ("\r", "")],
)
def test_only_spaces_and_tabs_at_the_start_are_indentation(line: str, lead: str) -> None:
    assert indent.leading(line) == lead


@pytest.mark.parametrize(
    ("lines", "shared"),
    [
        ([], ""),
        (["", "   "], ""),
        (["    a", "", "  ", "        b"], "    "),
        (["\ta", "\t\tb"], "\t"),
        (["\t  a", "\t b"], "\t "),
        (["  a", "\tb"], ""),
        (["  a"], "  "),
        (["    a", "b"], ""),
    ],
)
def test_blank_lines_have_no_say_in_what_all_lines_share(lines: list[str], shared: str) -> None:
    assert indent.common(lines) == shared


@given(blocks)
def test_what_is_shared_is_the_longest_that_all_lines_start_with(lines: list[str]) -> None:
    shared = indent.common(lines)
    filled = [line for line in lines if line.strip()]
    assert all(line.startswith(shared) for line in filled)
    longer = {indent.leading(line)[: len(shared) + 1] for line in filled}
    assert len(longer) != 1 or longer == {shared}


@pytest.mark.parametrize(
    ("lines", "step"),
    [
        ([], ""),
        (["a\n", "b\n"], ""),
        (["a\n", "    b\n", "        c\n", "d\n"], "    "),
        (["a\n", "  b\n", "    c\n", "d\n", "  e\n"], "  "),
        (["a\n", "\tb\n", "\t\tc\n"], "\t"),
        (["a\n", "\tb\n", "  c\n"], "  "),  # as many of both
        (["a\n", "\tb\n", "\tb\n", "  c\n"], "\t"),
        (["/*\n", " * a\n", " */\n"], ""),  # one space is the star of a comment
        (["a\n", "            f(x)\n"], ""),  # twelve are an alignment
        (["a\n", "  b\n", "c\n", "    d\n"], "  "),  # the smaller one of two
        (["a\n", "\t\n", "\t\n", "b\n"], ""),  # nothing but blank lines
        (["a\n", "    \n", "\t\n", "  b\n"], "  "),
        (["class A:\r\n", "    b\r\n"], "    "),
        (["값:\n", "   하나\n"], "   "),
        (["a\n", "        b\n", "                c\n"], " " * 8),
        (["a\n", "         b\n"], ""),
    ],
)
def test_the_unit_is_the_step_that_most_lines_take(lines: list[str], step: str) -> None:
    assert indent.unit(lines) == step


# ── slips that are mended ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("original", "answer", "lines", "adjusted"),
    [
        pytest.param(
            ["    a = 1", "    b = 2"],
            ["a = 1", "", "b = 3"],
            ["    a = 1", "", "    b = 3"],
            ("indent_shift",),
            id="all lines at column 0",
        ),
        pytest.param(
            ["    a = 1", "    b = 2"],
            ["        a = 1", "        b = 3"],
            ["    a = 1", "    b = 3"],
            ("indent_shift",),
            id="all lines too far in, as a line that is there still shows",
        ),
        pytest.param(
            ["\ta = 1", "\tb = 2"],
            ["a = 1", "c()"],
            ["\ta = 1", "\tc()"],
            ("indent_shift",),
            id="tabs that were lost",
        ),
        pytest.param(
            ["    a = 1", "    b = 2"],
            ["c()", "  d()"],
            ["    c()", "      d()"],
            ("indent_shift",),
            id="a block that starts at column 0 with no line of the original",
        ),
        pytest.param(
            ["    a = 1  ", "    b = 2"],
            ["      a = 1", "      b = 3"],
            ["    a = 1", "    b = 3"],
            ("indent_shift",),
            id="the line that is there still may have lost its trailing spaces",
        ),
        pytest.param(
            ["    if x:", "        a()"],
            ["  ", "if y:", "\t", "        a()"],
            ["  ", "    if y:", "\t", "        a()"],
            ("first_line",),
            id="a first line that was stripped, below a blank one",
        ),
        pytest.param(
            ["    a = 1", "    b = 2"],
            ["a = 3", "    b = 2"],
            ["    a = 3", "    b = 2"],
            ("first_line",),
            id="a first line that opens no block",
        ),
        pytest.param(
            ["\tif x {", "\t\ta()", "\t}"],
            ["  if y {", "    a()", "  }"],
            ["\tif y {", "\t\ta()", "\t}"],
            ("indent_style",),
            id="two spaces for a tab",
        ),
        pytest.param(
            ["\ta()", "  ", "\tb()"],
            ["    a()", "\t", "    c()"],
            ["\ta()", "\t", "\tc()"],
            ("indent_style",),
            id="spaces for tabs between blank lines of another kind",
        ),
        pytest.param(
            ["\ta()", "\tb()"],
            ["a()", "    b()", "    c()"],
            ["\ta()", "\tb()", "\tc()"],
            ("indent_style", "first_line"),
            id="spaces for tabs below a first line that was stripped",
        ),
        pytest.param(
            ["if x:", "    a()", "    b()"],
            ["if y:", "\ta()", "\tb()"],
            ["if y:", "    a()", "    b()"],
            ("indent_style",),
            id="tabs for spaces",
        ),
        pytest.param(
            ["    if x:", "        a()", "        b()"],
            ["if y:", "\t\ta()", "\t\tb()"],
            ["    if y:", "        a()", "        b()"],
            ("indent_style", "first_line"),
            id="two slips are both told",
        ),
    ],
)
def test_a_slip_is_mended_and_named(
    original: list[str], answer: list[str], lines: list[str], adjusted: tuple[str, ...]
) -> None:
    assert rebase(answer, original) == Rebased(lines, adjusted)


# ── what may have been meant ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("original", "answer"),
    [
        pytest.param(["    a()"], ["    b()", "        c()"], id="the same base"),
        pytest.param(
            ["    if x:", "        a()", "        b()"],
            ["    a()", "    b()"],
            id="a block out of its condition",
        ),
        pytest.param(["    a()"], ["    try:", "        a()"], id="a block into one"),
        pytest.param(
            ["        a()", "        b()"],
            ["    a()", "    b()"],
            id="nothing but the indentation",
        ),
        pytest.param(["        return 1"], ["else:", "        return 1"], id="a branch"),
        pytest.param(["    }", "    b()"], ["}", "    b()"], id="a bracket that closes above"),
        pytest.param(["  <b>"], ["</p>", "  <p>"], id="a tag that closes above"),
        pytest.param(["\ta()"], ["    b()"], id="no line that both have"),
        pytest.param(["\ta()", "  b()"], ["    a()", "    b()"], id="a mixed original"),
        pytest.param(["if x:", "  a()"], ["if x:", "\ta()", "   a()"], id="a mixed answer"),
    ],
)
def test_what_may_be_meant_is_left_as_it_is(original: list[str], answer: list[str]) -> None:
    found = rebase(answer, original)
    assert (found.lines, found.adjusted) == (answer, ())


def test_a_block_that_may_be_wrong_is_left_and_doubtful() -> None:
    assert rebase(["    y = 5"], ["        x = 1"]) == Rebased(["    y = 5"], doubtful=True)


def test_a_shift_alone_is_the_wish_and_not_doubtful() -> None:
    assert not rebase(["    a()"], ["        a()"]).doubtful


@pytest.mark.parametrize("original", [[], [""], ["", "    ", "\t"]])
def test_where_nothing_was_there_is_nothing_to_doubt(original: list[str]) -> None:
    answer = ["    return 1", "", "\treturn 2"]
    assert rebase(answer, original) == Rebased(answer)


@pytest.mark.parametrize("answer", [[], [""], ["  ", "\t"]])
def test_an_answer_of_blank_lines_stays(answer: list[str]) -> None:
    assert rebase(answer, ["    a()"]) == Rebased(answer)


@given(blocks, blocks)
def test_nothing_but_indentation_is_ever_touched(answer: list[str], original: list[str]) -> None:
    found = rebase(list(answer), original)
    assert [line.lstrip(" \t") for line in found.lines] == [line.lstrip(" \t") for line in answer]
    assert bool(found.adjusted) == (found.lines != answer)
    assert set(found.adjusted) <= {"indent_style", "first_line", "indent_shift"}
    for line, old in zip(found.lines, answer, strict=True):
        assert line.strip() or line == old or "indent_style" in found.adjusted


@given(blocks)
def test_the_original_itself_is_left_alone(lines: list[str]) -> None:
    assert rebase(list(lines), lines) == Rebased(lines)


@pytest.mark.parametrize(
    ("answer", "original", "doubtful"),
    [
        # a first line at column 0 in a selection that reaches column 0 itself
        ("def g():\n        pass\nx = 1\ny", "    def g():\n        pass\nx = 1", True),
        # all that is left has moved, and no line says why
        ("a()\nb()", "if x:\n    a()\n    b()", True),
        ("try:\n    a()\n    b()", "a()\nb()", False),
        ("a()\nc()", "a()\nb()", False),
    ],
)
def test_lines_that_moved_without_a_reason_are_doubtful(
    answer: str, original: str, doubtful: bool
) -> None:
    found = rebase(answer.split("\n"), original.split("\n"))
    assert (found.lines, found.doubtful) == (answer.split("\n"), doubtful)


def test_a_definition_that_moved_with_its_body_comes_back_whole() -> None:
    old = "    def f(a,\n          b):\n        return a"
    new = "def f(a,\n      b):\n    return a\n\ndone = 1"
    found = rebase(new.split("\n"), old.split("\n"))
    assert found.lines[:3] == old.split("\n")
    assert found.adjusted == ("indent_shift",)
