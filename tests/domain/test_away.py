"""Time with others is counted once, however many have the call at a time."""

from __future__ import annotations

from gateway.domain.away import Away


def test_time_with_several_at_once_counts_once() -> None:
    away = Away()
    assert away.first is None
    away.leave(1.0)
    away.leave(2.0)
    away.back(3.0)
    assert away.seconds == 0.0
    away.back(5.0)
    away.leave(10.0)
    away.back(11.0)
    assert (away.first, away.seconds) == (1.0, 5.0)
