"""Bounds of time and place."""

from __future__ import annotations

from gateway.domain.limits import QueueLimits, Timeouts


def test_the_defaults_are_the_ones_of_the_mission() -> None:
    assert Timeouts().total == 60.0
    assert Timeouts().stream_total > Timeouts().total
    assert QueueLimits().size > 0
