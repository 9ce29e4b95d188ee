"""Windows of time: sliding ones let no stretch of their length see more; the calendar's end at a
midnight of their zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.period import SECONDS, Every, Period, Term

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC).timestamp()


@given(
    now=st.floats(1e6, 4e9),
    every=st.sampled_from(list(SECONDS)),
    ago=st.floats(0, 1, exclude_max=True),
)
def test_whatever_was_used_within_the_length_counts(now: float, every: Every, ago: float) -> None:
    then = Period.sliding(every, now - ago * SECONDS[every])
    assert Period.sliding(every, now).window.covers(then.window.bucket)


@given(now=st.floats(1e6, 4e9), every=st.sampled_from(list(SECONDS)))
def test_what_is_used_now_counts_no_more_once_the_period_is_over(now: float, every: Every) -> None:
    period = Period.sliding(every, now)
    later = Period.sliding(every, period.over + 1e-3)
    assert not later.window.covers(period.window.bucket)
    assert SECONDS[every] <= period.over - now <= SECONDS[every] * 1.11


def day(*parts: int, zone: str = "UTC") -> float:
    return datetime(*parts, tzinfo=ZoneInfo(zone)).timestamp()  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("term", "begins", "over"),
    [
        ("day", day(2026, 3, 4), day(2026, 3, 5)),
        ("week", day(2026, 3, 2), day(2026, 3, 9)),
        ("month", day(2026, 3, 1), day(2026, 4, 1)),
    ],
)
def test_calendar_periods_begin_and_end_at_midnight(term: Term, begins: float, over: float) -> None:
    period = Period.calendar(term, UTC, NOW)
    assert (period.begins, period.over) == (begins, over)
    assert Period.calendar(term, UTC, over - 1).window == period.window
    assert Period.calendar(term, UTC, over).window.bucket == period.window.bucket + 1
    assert not Period.calendar(term, UTC, over).window.covers(period.window.bucket)


def test_a_year_ends_like_any_month() -> None:
    december = Period.calendar("month", UTC, day(2026, 12, 31, 23))
    january = Period.calendar("month", UTC, day(2027, 1, 1))
    assert december.over == january.begins == day(2027, 1, 1)
    assert january.window.bucket == december.window.bucket + 1


def test_midnight_is_that_of_the_zone_also_where_the_clock_is_put_on() -> None:
    seoul = Period.calendar("day", ZoneInfo("Asia/Seoul"), NOW)
    assert seoul.begins == day(2026, 3, 4, zone="Asia/Seoul")
    berlin = Period.calendar("day", ZoneInfo("Europe/Berlin"), day(2026, 3, 29, 12))
    assert berlin.over - berlin.begins == 23 * 3600
