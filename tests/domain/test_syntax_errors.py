"""The verdict on a change's syntax."""

from __future__ import annotations

import pytest

from gateway.domain.syntax_errors import Verdict, verdict


class Counting:
    """Counts `!`, and cannot tell of a text that holds `?`."""

    def count(self, language: str, text: str) -> int | None:
        return None if "?" in text else text.count("!")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", "ok"),
        ("!!", "", "ok"),
        ("!", "!", "ok"),
        ("", "!", "worse"),
        ("!", "!!", "worse"),
        ("", "?", "unknown"),
        ("?", "!", "unknown"),
        ("?", "", "ok"),
    ],
)
def test_only_more_errors_than_before_are_worse(before: str, after: str, expected: Verdict) -> None:
    assert verdict(Counting(), "any", before, after) == expected
