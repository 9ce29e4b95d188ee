"""Texts that are nested too deep for the scanner of their grammar: they are not given to it."""

from __future__ import annotations

import re

YAML_LEVELS = 100
"""The scanner of tree-sitter-yaml 0.7.2 writes its levels into 1 KiB and does not look whether they
fit: from about 250 on it corrupts the memory of the process."""

_ROW = re.compile(r"[^\r\n]+")
_OPENS = re.compile(r"[-?:](?=\s|$)")


def beyond(language: str, text: str) -> bool:
    """Whether a line of `text` may open more levels than the scanner holds. A level takes a space
    of indentation, or one of the marks that open a block; so it is never less than the depth."""
    if language != "yaml":
        return False
    return any(_levels(match[0]) > YAML_LEVELS for match in _ROW.finditer(text))


def _levels(row: str) -> int:
    indent = len(row) - len(row.lstrip())
    return indent + (len(_OPENS.findall(row)) if len(row) > YAML_LEVELS else 0)
