"""Reports: how they are asked for, and that no spreadsheet runs what a client wrote."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from gateway.domain.usage_report import age, as_csv, as_table, day_of, groups, moment

ROW = {
    "team": "ide",
    "requests": 12345,
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "cached_tokens": 0,
    "cost": 1_500_000,
    "uncounted": 0,
}


def test_groups_are_read_each_once_and_unknown_ones_told() -> None:
    assert groups("team, model,team") == ("team", "model")
    assert groups("") == ()
    with pytest.raises(ValueError, match="did you mean 'model'"):
        groups("team,modle")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:10", 10.0),
        ("2h", 1_000_000.0 - 7200),
    ],
)
def test_a_moment_is_a_day_a_time_or_an_age(text: str, seconds: float) -> None:
    assert moment(text, 1_000_000.0) == seconds


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "5m", "-3d", "9999999d"])
def test_what_is_no_moment_is_told_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        moment(text, 0.0)


def test_an_age_is_hours_days_or_weeks() -> None:
    assert [age(text) for text in ("12h", "90d", "2w")] == [
        timedelta(hours=12),
        timedelta(days=90),
        timedelta(weeks=2),
    ]
    assert day_of(1) == "1970-01-02"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"])
def test_no_cell_begins_as_a_formula(text: str) -> None:
    (_, row) = csv.reader(io.StringIO(as_csv([{"model": text, "requests": -1}], ["model"])))
    assert row == [f"'{text}"]


def test_numbers_stay_numbers_and_commas_stay_in_their_cell() -> None:
    text = as_csv([{"model": 'a,"b"', "requests": -1}], ["model", "requests"])
    assert text == 'model,requests\r\n"a,""b""",-1\r\n'


def test_a_table_is_aligned_and_tells_costs_in_units() -> None:
    head, line = as_table([ROW], ("team",)).splitlines()
    assert head.startswith("team  requests  prompt_tokens")
    assert "12,345" in line
    assert " 1.5 " in line


def test_a_name_with_control_characters_moves_no_cursor() -> None:
    table = as_table([ROW | {"team": "\x1b[2Jx"}, ROW | {"team": ""}], ("team",))
    assert "\x1b" not in table
    assert "\n-" in table
