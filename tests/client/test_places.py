"""Positions and diagnostics: from 0 on the wire, from 1 for people."""

from __future__ import annotations

from gateway.client import Diagnostic, Position, Range


def test_a_compilers_line_and_column_count_from_one() -> None:
    said = Diagnostic.at(3, "no such name", column=5, severity="warning", code="F821")
    assert said.as_json() == {
        "range": {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 4}},
        "severity": "warning",
        "message": "no such name",
        "code": "F821",
    }
    assert "code" not in Diagnostic.at(1, "x", column=0).as_json()


def test_positions_are_in_order() -> None:
    assert Position(1, 9) < Position(2, 0)
    assert Range(Position(0, 1), Position(2, 3)).as_json()["end"] == {"line": 2, "character": 3}
