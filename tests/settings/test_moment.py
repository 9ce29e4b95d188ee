"""Days and times with a zone become epoch seconds."""

from __future__ import annotations

import pytest

from gateway.settings.moment import moment, shown


@pytest.mark.parametrize(
    ("text", "end", "utc"),
    [
        ("2027-01-31", False, "2027-01-31T00:00:00Z"),
        ("2027-01-31", True, "2027-02-01T00:00:00Z"),
        ("2027-01-31T18:00:00+09:00", True, "2027-01-31T09:00:00Z"),
        (" 2027-01-31T18:00:00Z ", False, "2027-01-31T18:00:00Z"),
    ],
)
def test_a_day_is_its_beginning_or_its_end(text: str, end: bool, utc: str) -> None:
    assert shown(moment(text, end=end)) == utc


def test_seconds_are_what_they_are() -> None:
    assert moment(1_800_000_000) == 1_800_000_000.0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2027-02-30",
        "2027-01-31T18:00:00",
        "1999-12-31",
        "2200-01-01",
        1,
        True,
        [],
        1e30,
    ],
)
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"should be a day|has no zone"):
        moment(value)
