"""Stretches of time that limits are for, as windows of counters: sliding, or of the calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from gateway.domain.counters import Window

Every = Literal["second", "minute", "hour", "day"]
Term = Literal["day", "week", "month"]

SECONDS: dict[Every, float] = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_PARTS: dict[Every, int] = {"second": 10, "minute": 60, "hour": 60, "day": 96}
_LONGEST_DAYS: dict[Term, int] = {"day": 1, "week": 7, "month": 31}


@dataclass(frozen=True, slots=True)
class Period:
    """A window, and the epoch seconds at which it `begins` and is `over`: for a sliding one, at
    which what is used now counts no more."""

    window: Window
    begins: float
    over: float

    @classmethod
    def sliding(cls, every: Every, now: float) -> Period:
        """The last second, minute, hour or day. It counts in whole parts of it and takes one more,
        so that no stretch of that length, wherever it begins, ever sees more than the limit."""
        return _sliding(every, int(now * _PARTS[every] / SECONDS[every]))

    @classmethod
    def calendar(cls, term: Term, zone: tzinfo, now: float) -> Period:
        """The day, week (from Monday) or month of `now` in that time zone."""
        return _calendar(term, zone, datetime.fromtimestamp(now, zone).date())


# Every call asks for those of now, which are few.
@lru_cache(maxsize=64)
def _sliding(every: Every, bucket: int) -> Period:
    seconds, parts = SECONDS[every], _PARTS[every]
    window = Window(bucket, parts + 1, seconds / parts)
    over = (bucket + parts + 1) * seconds / parts
    return Period(window, (bucket - parts) * seconds / parts, over)


@lru_cache(maxsize=64)
def _calendar(term: Term, zone: tzinfo, today: date) -> Period:
    if term == "month":
        first, bucket = today.replace(day=1), today.year * 12 + today.month - 1
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        first = today - timedelta(days=today.weekday() if term == "week" else 0)
        after = first + timedelta(days=_LONGEST_DAYS[term])
        bucket = first.toordinal() // _LONGEST_DAYS[term]
    window = Window(bucket, 1, _LONGEST_DAYS[term] * SECONDS["day"])
    return Period(window, _midnight(first, zone), _midnight(after, zone))


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
