"""Entities in an answer: told apart from those that the file has."""

from __future__ import annotations

import pytest

from gateway.domain.answer import Answer, Original, resolve
from gateway.domain.entities import escaped, new_ones


@pytest.mark.parametrize(
    ("text", "original", "found"),
    [
        ("if a &lt; b:\n    x = 1\n", "if a < b:\n    x = 2\n", "if a &lt; b:"),
        ("print(&quot;a&quot;)\n", 'print("a")\n', "print(&quot;a&quot;)"),
        ("a &lt; b\n", "a &lt; b\nc\n", None),
        ("x = '&lt;'\n", "y\n", None),
        ("a < b\n", "a < b\n", None),
    ],
)
def test_a_line_that_changed_into_entities_alone_is_found(
    text: str, original: str, found: str | None
) -> None:
    assert escaped(text, original) == found


def test_entities_where_there_were_none_are_odd_but_in_markup() -> None:
    assert new_ones("x = '&lt;'", "x = 1", "python")
    assert not new_ones("&lt;", "<b>", "html")
    assert not new_ones("x = '&lt;'", "y = '&amp;'", "python")
    assert not new_ones("a && b", "a", "c")


def test_an_escaped_answer_is_refused_and_one_with_new_entities_is_warned_of() -> None:
    original = Original("if a < b:\n    x = 1\n", language="python")
    refused = resolve(Answer("```\nif a &lt; b:\n    x = 2\n```", "stop"), original)
    assert (refused.status, refused.warnings[0].code) == ("unresolved", "entities")
    odd = resolve(Answer("```\nif a < b:\n    x = '&lt;'\n```", "stop"), original)
    assert (odd.status, odd.warnings[0].code) == ("changed", "entities")
