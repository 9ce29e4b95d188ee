"""Texts that are nested too deep for their grammar: they are not given to it."""

from __future__ import annotations

import re

YAML_LEVELS = 100
"""The scanner of tree-sitter-yaml 0.7.2 writes its levels into 1 KiB and does not look whether they
fit: from about 250 on it corrupts the memory of the process."""

KOTLIN_ANGLES = 8000
"""`<` in a text: tree-sitter-kotlin 1.1.0 runs out of stack on some 25 000 that are not closed."""

_ROW = re.compile(r"[^\r\n]+")
_OPENS = re.compile(r"[-?:](?=\s|$)")


def beyond(language: str, text: str) -> bool:
    """Whether `text` may open more levels than its grammar holds. In YAML a level takes a space of
    indentation, or a mark that opens a block; so what is counted is never less than the depth."""
    if language == "kotlin":
        return text.count("<") > KOTLIN_ANGLES
    if language != "yaml":
        return False
    return any(_levels(match[0]) > YAML_LEVELS for match in _ROW.finditer(text))


def _levels(row: str) -> int:
    indent = len(row) - len(row.lstrip())
    return indent + (len(_OPENS.findall(row)) if len(row) > YAML_LEVELS else 0)
