"""A pattern in a text that is still coming: what is certain, and what has to wait.

That nothing of a match leaves, however a text is cut: tests/policies/test_guard_output.py.
"""

from __future__ import annotations

import pytest

from gateway.domain.watch import Sight, Watch, beginning


@pytest.mark.parametrize(
    ("pattern", "text", "spans", "settled"),
    [
        ("secret", "a se", (), 2),
        ("secret", "a sex", (), 5),
        ("secret", "a secret.", ((2, 8),), 9),
        ("secret", "a secret", (), 2),
        (r"\bcat\b", "a cat", (), 2),
        (r"\bcat\b", "a cat ", ((2, 5),), 6),
        ("abcabd|bc", "abcab", (), 0),
        ("ba$", "ba\n", (), 0),
        ("a+", "xaay", ((1, 3),), 4),
    ],
)
def test_what_is_certain_and_what_waits(
    pattern: str, text: str, spans: tuple[tuple[int, int], ...], settled: int
) -> None:
    assert Watch(pattern).look(text) == Sight(spans, settled)


def test_at_the_end_all_is_certain() -> None:
    assert Watch("a+").look("xaa", final=True) == Sight(((1, 3),), 3)


def test_what_came_before_is_only_looked_back_at() -> None:
    assert Watch("(?<=b)a").look("aba ", 2) == Sight(((2, 3),), 4)
    assert Watch("a").look("aab ", 2) == Sight((), 4)


def test_of_a_pattern_whose_beginning_cannot_be_seen_as_much_waits_as_may() -> None:
    watch = Watch(r"ab(?!$)", most=3)
    assert watch.doubtful
    assert watch.look("xxxxxxxx").settled == 5


def test_a_pattern_that_bears_no_addition_is_doubtful() -> None:
    assert beginning("(?x)ab # to the end") is None
    assert Watch("(?x)ab # to the end").doubtful


@pytest.mark.parametrize("pattern", ["(", "a*", "(?r)ab"])
def test_patterns_that_cannot_be_watched_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not a regular|nothing at all|cannot be searched"):
        Watch(pattern)
