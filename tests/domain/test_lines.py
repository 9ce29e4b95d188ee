"""Lines: split at `\\n` only, and runs that rise, are equal and are as many as can be."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import lines

few_words = st.lists(st.integers(0, 3), max_size=14)


def longest_common(old: list[int], new: list[int]) -> int:
    above = [0] * (len(new) + 1)
    for left in old:
        row = [0]
        for index, right in enumerate(new):
            row.append(above[index] + 1 if left == right else max(above[index + 1], row[-1]))
        above = row
    return above[-1]


def check(old: list[int], new: list[int]) -> int:
    a = b = 0
    for run in lines.runs(old, new):
        assert run.size > 0
        assert run.old >= a
        assert run.new >= b
        assert old[run.old : run.old + run.size] == new[run.new : run.new + run.size]
        a, b = run.old + run.size, run.new + run.size
    return sum(run.size for run in lines.runs(old, new))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", []),
        (b"a", [b"a"]),
        (b"a\n", [b"a\n"]),
        (b"a\r\nb", [b"a\r\n", b"b"]),
        (b"\n\n", [b"\n", b"\n"]),
        ("a\u2028b\x0cc\x85d\x1ce\rf".encode(), ["a\u2028b\x0cc\x85d\x1ce\rf".encode()]),
    ],
)
def test_only_a_line_feed_ends_a_line(text: bytes, found: list[bytes]) -> None:
    assert lines.split(text) == found


@given(st.text())
def test_the_lines_joined_are_the_text(text: str) -> None:
    assert "".join(lines.split(text)) == text


@given(few_words, few_words)
def test_the_runs_are_as_many_lines_as_can_be_shared(old: list[int], new: list[int]) -> None:
    assert check(old, new) == longest_common(old, new)


@given(few_words, few_words, st.integers(0, 4), st.integers(0, 30))
def test_the_runs_are_true_when_every_limit_is_met(
    old: list[int], new: list[int], edits: int, steps: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "MAX_EDITS", edits)
        patch.setattr(lines, "MAX_STEPS", steps)
        check(old, new)


def test_two_far_edits_in_a_file_of_repeated_lines_stay_two_edits() -> None:
    old = [index % 5 for index in range(20_000)]
    new = [*old[:100], 77, *old[100:19_000], *old[19_001:]]
    assert [run.size for run in lines.runs(old, new)] == [100, 18_900, 999]


def test_a_large_rewrite_is_held_together_by_lines_that_occur_once() -> None:
    draw = random.Random(3)
    old = [draw.randrange(10**9) for _ in range(6_000)]
    new = [line for kept in old for line in ([kept] if draw.random() < 0.6 else [-1, -2])]
    kept = sum(line >= 0 for line in new)
    assert check(old, new) == kept


def test_many_edits_without_anchors_are_still_found_piece_by_piece() -> None:
    draw = random.Random(4)
    old = [draw.randrange(40) for _ in range(2_000)] * 3
    new = [line for line in old if draw.random() > 0.15]
    assert check(old, new) > 0.9 * len(new)


def test_beyond_the_limit_of_lines_the_difference_is_one_block() -> None:
    old = [1, *([2, 3] * lines.MAX_DIFFERING), 4]
    new = [1, *([3, 5] * lines.MAX_DIFFERING), 4]
    assert lines.runs(old, new) == [(0, 0, 1), (len(old) - 1, len(new) - 1, 1)]
