"""HTML entities that a model put where the file has the characters: noticed, never decoded."""

from __future__ import annotations

import html
import re

_ENTITY = re.compile(r"&(?:lt|gt|amp|quot|apos|#39|#x27);")
_MARKUP = frozenset({"html", "xml", "svg", "vue", "svelte", "php", "markdown", "javascriptreact",
                     "typescriptreact", "jinja", "handlebars", "erb"})  # fmt: skip


def escaped(text: str, original: str) -> str | None:
    """A line of `text` that is one of `original` but for entities: it was not to change."""
    if not _ENTITY.search(text):
        return None
    own = {row.strip() for row in original.split("\n")} - {""}
    rows = (row.strip() for row in text.split("\n") if _ENTITY.search(row))
    return next((row for row in rows if row not in own and html.unescape(row) in own), None)


def new_ones(text: str, original: str, language: str) -> bool:
    """Whether `text` has entities, `original` none, and the language no use for them."""
    if language in _MARKUP or not _ENTITY.search(text):
        return False
    return not _ENTITY.search(original)
