"""Times as they are typed, and whether a server has a database here."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.key_database import has_database, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("24h", 86_400), (" 7d ", 604_800)]
)
def test_a_time_has_a_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1.5h", "1w", "367d", "9" * 40 + "s"])
def test_what_is_no_time_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="30m, 24h"):
        seconds_of(text)


def test_an_sqlite_that_was_never_made_is_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_STATE__FOLDER", str(tmp_path))
    assert not has_database({})
    (tmp_path / "gateway.db").touch()
    assert has_database({})
    monkeypatch.setenv("GATEWAY_STATE__DATABASE_URL", "postgresql://db.example.com/gateway")
    assert has_database({})
