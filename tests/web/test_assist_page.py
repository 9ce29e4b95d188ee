"""The reference page of actions is fresh, and has each field of a body."""

from __future__ import annotations

from pathlib import Path

from gateway.web.assist_page import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "actions.md"


def test_the_reference_page_is_fresh() -> None:
    stale = "docs/reference/actions.md is stale; run: make docs"
    assert PAGE.read_text(encoding="utf-8") == reference(), stale


def test_each_field_of_a_body_has_its_type_its_limits_and_its_default() -> None:
    page = reference()
    for row in (
        "| `file.content` | string | needed | All of it, as the editor has it. |",
        '| `position_encoding` | `utf-8`, `utf-16`, `utf-32` | `"utf-16"` | What',
        "| `options.diff_context` | integer; from 0, to 100 | `3` | ",
        "| `related[].ranges` | array of range; at most 100 |  | ",
        "| `diff` | string |  | ",
    ):
        assert f"\n{row}" in page
