"""Windows, balances and claims as values: what counts, what is left, when it comes free."""

from __future__ import annotations

import pytest

from gateway.domain.counters import Balance, Claim, CountersUnavailable, Window, checked, frees_s

MINUTE = Window(bucket=100, span=6, seconds=10.0)


def test_a_window_counts_its_own_bucket_and_those_before_it() -> None:
    assert [b for b in range(90, 101) if MINUTE.covers(b)] == [95, 96, 97, 98, 99, 100]


def test_what_a_process_with_a_faster_clock_has_settled_counts_too() -> None:
    assert MINUTE.covers(101)
    assert MINUTE.covers(106)
    assert not MINUTE.covers(107)


def test_without_a_span_nothing_that_is_settled_counts() -> None:
    assert not any(Window(5, 0, 1.0).covers(b) for b in range(10))


@pytest.mark.parametrize(
    ("excess", "seconds"), [(1, 20.0), (3, 20.0), (4, 50.0), (5, 50.0), (6, 0.0)]
)
def test_it_is_told_when_enough_comes_free(excess: int, seconds: float) -> None:
    assert frees_s({80: 9, 96: 3, 99: 2}, MINUTE, excess) == seconds


def test_what_is_left_is_never_less_than_nothing() -> None:
    assert Balance(used=3, held=2, limit=9).remaining == 4
    assert Balance(used=30, held=2, limit=9).remaining == 0
    assert Balance(used=3, held=2, limit=None).remaining is None


def test_claims_that_make_no_sense_are_said_to() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        checked([Claim("a", -1, 5, MINUTE)])
    with pytest.raises(ValueError, match="at most once"):
        checked([Claim("a", 1, 5, MINUTE), Claim("a", 1, 9, MINUTE)])
    checked([Claim("a", 0, 5, MINUTE), Claim("b", 1, None, MINUTE)])


def test_unavailable_counters_are_a_503_that_says_when_to_come_back() -> None:
    error = CountersUnavailable(detail="redis: no answer")
    assert (error.status, error.code, error.retry_after) == (503, "counters_unavailable", 1.0)
    assert "redis" not in error.public
