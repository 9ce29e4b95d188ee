"""Places that fit no grammar, counted in real trees: all of them, while there is time."""

from __future__ import annotations

from itertools import count as numbers

import pytest
from tree_sitter import Language, Node, Parser
from tree_sitter_javascript import language

from gateway.adapters.error_nodes import count


def parsed(text: str) -> Node:
    return Parser(Language(language())).parse(text.encode()).root_node


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("", 0),
        ("a(b);\n", 0),
        ("a(b;\n", 1),  # a bracket that had to be made up
        ("a(b));\n", 1),
        ("a(b));\nc(d));\n", 2),
        ("{ { a(b)) } { c(d)) } }\n", 2),
    ],
)
def test_each_place_counts_wherever_it_lies(text: str, errors: int) -> None:
    assert count(parsed(text), lambda: False) == errors


def test_without_time_nobody_knows() -> None:
    root = parsed("a(b));\n" * 2000)
    ticks = numbers()
    assert count(root, lambda: next(ticks) >= 3) is None
    assert next(ticks) == 4, "it stops as soon as it is late"
    assert count(root, lambda: False) == 2000
