"""The reference page of actions is what the table says."""

from __future__ import annotations

from gateway.domain.actions import ACTIONS
from gateway.domain.actions_page import reference


def test_every_action_has_a_row_and_an_example() -> None:
    page = reference(["| `a field` |"])
    assert "\n| `a field` |\n" in page
    for action in ACTIONS:
        assert f"\n| `{action.name}` | " in page
        assert f"\n`POST /api/ai/{action.name}`\n" in page
