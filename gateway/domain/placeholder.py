"""Lines such as `# ... existing code ...`, with which models stand in for code they leave out."""

from __future__ import annotations

import re

_COMMENT = r"(?:#+|//+|/\*+|\*+|--+|;+|%+|<!--|\{/\*|\(\*|\"\"\"|''')"
_COMMENT_END = r"(?:\*+/\}?|--+>|\*\)|\"\"\"|''')?"
_DOTS = r"(?:\.{3,}|…+)"
_LEFT_OUT = (
    r"(?:\b(?:existing|rest|remain\w*|unchanged|same|previous|original|other|omit\w*|as before"
    r"|truncated|not shown|keep|your|code|lines)\b"
    r"|기존|나머지|생략|동일|이전|그대로|既存|残り|省略|其余|现有)"
)
_WHAT = (
    r"(?:code|implementations?|methods?|functions?|imports?|logic|lines?|file|class|body|content)"
)
_THE_REST = (
    r"(?:the |your )?(?:rest of (?:the |your )?|existing |remaining |previous |original |other )"
    rf"(?:\w+ )?{_WHAT}"
)
_PLACEHOLDERS = [
    # a comment that starts with dots and has a word for what is missing, or of dots alone
    rf"{_COMMENT}\s*{_DOTS}.*{_LEFT_OUT}.*",
    rf"{_COMMENT}\s*[\[(]?{_DOTS}[\])]?\s*{_COMMENT_END}",
    # no comment: only with a space after the dots, since JavaScript has `...rest` and `[...other]`
    rf"[\[(<]?{_DOTS}\s+.*{_LEFT_OUT}.*",
    # a comment that says so in words, with dots or without
    rf"{_COMMENT}\s*[\[(]?{_THE_REST}\b.*{_DOTS}\W*",
    rf"{_COMMENT}\s*[\[(]?{_THE_REST}"
    r"(?: (?:remains?|stays?|is|are|goes|here|unchanged|the same|as before))*[.\])]*\s*"
    rf"{_COMMENT_END}",
    rf"(?:{_COMMENT}\s*[\[(]?|[\[(])"
    "(?:(?:기존|나머지) 코드|나머지는? (?:동일|그대로)|이하 생략|중략).{0,12}",
]
_PLACEHOLDER = re.compile("|".join(f"(?:{pattern})" for pattern in _PLACEHOLDERS), re.I)
_LONGEST = 200  # characters of a placeholder: longer lines are not looked at


def find(text: str, original: str) -> str | None:
    """A line of `text` that stands for code left out and that `original` does not have."""
    own = {row.strip() for row in original.split("\n")}
    rows = (row.strip() for row in text.split("\n"))
    new = (row for row in rows if row not in own and len(row) <= _LONGEST)
    return next((row for row in new if _PLACEHOLDER.fullmatch(row)), None)
