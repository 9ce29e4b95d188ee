"""The reference page of actions is what the table says."""

from __future__ import annotations

from pathlib import Path

from gateway.domain.actions import ACTIONS
from gateway.domain.actions_page import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "actions.md"


def test_the_reference_page_is_fresh() -> None:
    stale = "docs/reference/actions.md is stale; run: make docs"
    assert PAGE.read_text(encoding="utf-8") == reference(), stale


def test_every_action_has_a_row_and_an_example() -> None:
    page = reference()
    for action in ACTIONS:
        assert f"\n| `{action.name}` | " in page
        assert f"\n`POST /api/ai/{action.name}`\n" in page
