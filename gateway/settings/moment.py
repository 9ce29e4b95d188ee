"""Dates as operators write them: a day, or a time with its zone. Inside they are epoch seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator

_FIRST, _LAST = 2000, 2199
_FORM = "should be a day (2027-01-31) or a time with its zone (2027-01-31T18:00:00+09:00)"


def moment(value: object, *, end: bool = False) -> float:
    """Epoch seconds. A day means its beginning, or with `end` its end, in UTC. ValueError says what
    is wrong."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _sensible(float(value))
    if not isinstance(value, str):
        raise ValueError(_FORM)
    text = value.strip()
    try:
        if len(text) == len("2027-01-31"):
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return _sensible((day + timedelta(days=1 if end else 0)).timestamp())
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return _sensible(time.timestamp())
    except (ValueError, OverflowError):
        raise ValueError(_FORM) from None
    raise ValueError("has no zone; end it with Z or +09:00")


def _sensible(seconds: float) -> float:
    try:
        year = datetime.fromtimestamp(seconds, UTC).year
    except (ValueError, OverflowError, OSError):
        year = 0
    if not _FIRST <= year <= _LAST:
        raise ValueError(_FORM)
    return seconds


def shown(seconds: float) -> str:
    """As people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _bound(*, end: bool) -> Callable[[object], object]:
    def read(value: object) -> object:
        return None if value is None else moment(value, end=end)

    return read


Start = Annotated[float | None, BeforeValidator(_bound(end=False))]
End = Annotated[float | None, BeforeValidator(_bound(end=True))]
