"""Sentences where code was asked for: how to tell that an answer, or a part of it, is prose."""

from __future__ import annotations

import re

from gateway.domain.language import PROSE

_LEAD_IN = re.compile(
    r"(?:sure|certainly|of course|okay|here(?:'s| is| are)|i(?:'m|'ve|'ll| am| have| will| can"
    r"| cannot)|sorry|below is|the following|this (?:code|function|version|change)|note that"
    r"|let me|explanation|as an ai|in this)\b",
    re.I,
)
_SENTENCE = re.compile(r"[A-Z][a-z']*(?: [\w'`\"(),;-]+){3,}[.:!?]")
_KOREAN = re.compile(r"[\"'`(]?\S*[가-힣]\S*(?:\s+\S+)*(?:다|요|죠|까|음|함|:)[.:!?)]*")
_LONGEST = 500  # characters of a sentence: longer lines are not looked at
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--|\"\"\"|'''|\"|')")


def is_sentence(line: str) -> bool:
    """Whether `line` reads like a sentence to a human and is no comment and no string."""
    text = line.strip()
    if not text or len(text) > _LONGEST or _COMMENT.match(text):
        return False
    if _LEAD_IN.match(text) and len(text.split()) >= 3 and not re.search(r"[=;{}]", text):
        return True
    return bool(_SENTENCE.fullmatch(text) or _KOREAN.fullmatch(text))


def around(text: str, original: str, language: str) -> bool:
    """Whether `text` starts or ends with a sentence that a file like `original` would not hold."""
    if language in PROSE or any(is_sentence(line) for line in original.split("\n")):
        return False
    rows = [row for row in text.split("\n") if row.strip()]
    return bool(rows) and (is_sentence(rows[0]) or is_sentence(rows[-1]))


def related(text: str, original: str) -> bool:
    """Whether `text` shares a telling line, or a good part of its words, with `original`.

    True for an original without words, of which nothing can be said.
    """
    own = {row.strip() for row in original.split("\n") if len(row.strip()) > 3}
    if any(row.strip() in own for row in text.split("\n")):
        return True
    old, new = (set(re.findall(r"\w{2,}", words)) for words in (original, text))
    least = min(len(old), len(new))
    return not old or len(old & new) >= max(min(2, len(old)), 0.3 * least)
