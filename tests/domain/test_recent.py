"""A sliding window of durations, and what most of them stay below."""

from __future__ import annotations

from gateway.domain.recent import Recent


def test_ninety_five_of_a_hundred_stay_below() -> None:
    recent = Recent()
    for number in range(100, 0, -1):
        recent.add(float(number))
    assert recent.p95() == 95.0


def test_only_the_last_two_hundred_count() -> None:
    recent = Recent()
    for _ in range(300):
        recent.add(9.0)
    for _ in range(200):
        recent.add(1.0)
    assert (len(recent), recent.p95()) == (200, 1.0)


def test_it_follows_what_is_added_after_it_was_asked() -> None:
    recent = Recent()
    recent.add(1.0)
    assert recent.p95() == 1.0
    for _ in range(10):
        recent.add(5.0)
    assert recent.p95() == 5.0


def test_nothing_is_slow_before_anything_was_seen() -> None:
    assert Recent().p95() == 0.0
