"""Retry-After means something: it follows how fast slots really come free."""

from __future__ import annotations

import pytest

from gateway.flow.drain import Drain


def test_the_rate_is_counted_while_all_slots_are_taken() -> None:
    drain = Drain()
    drain.full(100.0)
    for second in range(101, 111):
        for _ in range(2):
            drain.freed(5.0, float(second))
    assert drain.rate(110.0) == pytest.approx(2.0)
    assert drain.seconds(8, slots=64, now=110.0) == pytest.approx(4.0)


def test_only_the_last_minute_counts() -> None:
    drain = Drain()
    drain.full(0.0)
    for second in range(60):
        for _ in range(10):
            drain.freed(1.0, float(second))
    for second in range(60, 180, 2):
        drain.freed(1.0, float(second))
    assert drain.rate(180.0) == pytest.approx(0.5, rel=0.05)


def test_it_keeps_at_most_a_number_for_each_second() -> None:
    drain = Drain()
    drain.full(0.0)
    for moment in range(100_000):
        drain.freed(1.0, moment / 100)
    assert len(drain._freed) <= 62


def test_without_a_rate_it_goes_by_how_long_slots_are_held() -> None:
    drain = Drain()
    for _ in range(100):
        drain.freed(8.0, 0.0)
    drain.full(10.0)
    assert drain.rate(10.5) is None
    assert drain.seconds(4, slots=2, now=10.5) == pytest.approx(16.0, rel=0.01)


def test_slots_that_come_free_when_nobody_waits_say_nothing() -> None:
    drain = Drain()
    drain.full(0.0)
    assert drain.counting
    drain.freed(1.0, 5.0)
    drain.slack()
    assert not drain.counting
    drain.freed(1.0, 6.0)
    assert drain.rate(10.0) is None
