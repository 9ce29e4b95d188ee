"""How keys are shown on a terminal."""

from __future__ import annotations

import pytest

from gateway.cli.key_views import as_lines, as_table
from gateway.domain.document import Document
from gateway.settings.teams import Lifetime, read_teams

ROW = {"id": "k", "team": "ide", "source": "database", "prefix": "sk-gw-abc"}


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ({}, "good"),
        ({"revoked_at": 1.0}, "revoked"),
        ({"expires": 1.0}, "expired"),
        ({"not_before": 9e9}, "not yet"),
    ],
)
def test_a_row_says_what_state_its_key_is_in(more: dict[str, float], state: str) -> None:
    assert state in as_table([{**ROW, **more}]).splitlines()[1]


def test_no_keys_are_said_with_what_to_type() -> None:
    assert "gateway keys create" in as_table([])


def test_printed_lines_read_back_as_what_was_asked_for() -> None:
    scope = Lifetime.model_validate(
        {
            "models": ["org/qwen: 7b", "1*"],
            "routes": ["/v1/*"],
            "roles": ["author"],
            "expires": "2190-01-31T18:00:00+09:00",
            "not_before": "2027-01-01",
        }
    )
    text = as_lines("sk-gw-x", "ide", "0123", scope)
    assert text is not None
    [team], problems = read_teams(Document("f", text[text.index("teams:\n") :]))
    assert problems == []
    assert team.keys[0].id == "0123"
    assert (
        Lifetime(**{word: getattr(team.keys[0], word) for word in Lifetime.model_fields}) == scope
    )


def test_a_name_that_cannot_be_makes_no_lines() -> None:
    assert as_lines("sk-gw-x", "a b", None, Lifetime()) is None
