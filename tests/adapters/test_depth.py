"""What is nested too deep for a scanner is known before it sees it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.adapters.depth import KOTLIN_ANGLES, YAML_LEVELS, beyond
from gateway.adapters.syntax import TreeSitter

ROWS = "".join(" " * level + "a:\n" for level in range(400))


@pytest.mark.parametrize(
    ("language", "text", "too_deep"),
    [
        ("yaml", "a:\n  - b: c\n  - d\n", False),
        ("yaml", "text: " + "a - b: c " * 9 + "x" * 5000, False),
        ("yaml", "x" * 5000, False),
        ("yaml", "- " * (YAML_LEVELS + 1), True),
        ("yaml", "?\t" * (YAML_LEVELS + 1), True),
        ("yaml", "a\r" + "- " * (YAML_LEVELS + 1), True),
        ("yaml", ROWS, True),
        ("yaml", "".join(" " * (level // 2) + "a:\n" for level in range(2 * YAML_LEVELS)), False),
        ("python", ROWS, False),
        ("json", "[" * 5000, False),
        ("kotlin", "<a" * KOTLIN_ANGLES, False),
        ("kotlin", ">" * 9000 + "<a" * (KOTLIN_ANGLES + 1), True),
    ],
)
def test_depth_is_seen_by_the_marks_and_the_indentation(
    language: str, text: str, too_deep: bool
) -> None:
    assert beyond(language, text) == too_deep


def test_such_a_text_goes_to_no_grammar() -> None:
    """In a process of its own: with the text, the grammar would kill it."""
    asks = (
        "from gateway.adapters.syntax import TreeSitter as T\n"
        "t = '- ' * 4000\n"
        "print(T().structure('yaml', t).remark, T().count('yaml', t))"
    )
    found = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True)
    assert found.stdout == "It is nested too deep to be parsed. None\n"


def test_up_to_that_depth_the_grammar_holds() -> None:
    deep = "".join(" " * level + "a:\n" for level in range(YAML_LEVELS))
    assert TreeSitter().structure("yaml", deep).origin == "syntax"
    assert TreeSitter().count("yaml", "- " * YAML_LEVELS + "a\n") == 0
