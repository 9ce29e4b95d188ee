"""Reports of what was used: by what they may be grouped, how they are asked for and shown."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.document import did_you_mean

# The word in a question and a report → the field of an entry.
GROUPS: dict[str, str] = {
    "team": "team",
    "key": "key_id",
    "user": "user",
    "model": "model",
    "served_model": "served_model",
    "replica": "replica",
    "route": "route",
    "prompt": "prompt",
    "outcome": "outcome",
    "day": "at",
}
FILTERS = ("team", "key", "user", "model", "prompt")
SUMS = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost", "uncounted")
FORMATS = ("table", "json", "csv")
DAY = 86_400
_AGO = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# What a spreadsheet takes for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Question:
    """Sums of calls by these words, of the time from `since` to before `until` (epoch seconds);
    `where` names what a word must be."""

    by: tuple[str, ...] = ("team", "model")
    since: float = 0.0
    until: float | None = None
    where: Mapping[str, str] | None = None


Row = dict[str, Any]


def groups(text: str) -> tuple[str, ...]:
    """The words of `team,model`. ValueError with what there is."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for word in words:
        if word not in GROUPS:
            meant = did_you_mean(word, GROUPS)
            raise ValueError(f"unknown group {word[:40]!r}; {meant or 'take ' + ', '.join(GROUPS)}")
    return words


def age(text: str) -> timedelta:
    """How long `90d`, `12h` or `2w` is. ValueError for another text."""
    found = _AGO.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no age; write 12h, 90d or 8w")
    return int(found[1]) * _UNITS[found[2]]


def moment(text: str, now: float) -> float:
    """Epoch seconds of a day (2026-11-01, from its first second in UTC), a time (ISO 8601, UTC
    where it has no offset) or an age before `now` (30d, 12h). ValueError for another text."""
    if _AGO.fullmatch(text.strip()):
        return now - age(text).total_seconds()
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:40]!r} is no time; write a day (2026-11-01), a time "
            "(2026-11-01T08:00:00+01:00) or an age (30d, 12h)"
        ) from None


def day_of(number: int) -> str:
    """The date of a day, counted from 1970-01-01, in UTC."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).date().isoformat()


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """One line a row, after one of names. What a spreadsheet would run as a formula gets a ' in
    front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([[cell(row.get(name)) for name in columns] for row in rows])
    return out.getvalue()


def cell(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def as_table(rows: Sequence[Row], by: Sequence[str]) -> str:
    """For eyes: aligned columns, costs in units of the currency."""
    columns = (*by, *SUMS)
    shown = [[_shown(name, row[name]) for name in columns] for row in rows]
    widths = [
        max(len(name), *(len(line[at]) for line in shown)) if shown else len(name)
        for at, name in enumerate(columns)
    ]
    lines = [list(columns), *shown]
    return "\n".join(
        "  ".join(
            text.ljust(width) if at < len(by) else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _shown(name: str, value: Any) -> str:
    if name == "cost":
        return f"{value / 1_000_000:.6f}".rstrip("0").rstrip(".")
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return "".join(char if char.isprintable() else "?" for char in text) or "-"
