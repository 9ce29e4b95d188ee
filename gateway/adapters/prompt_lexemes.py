"""Where each word of a template stands: Jinja's own syntax tree knows lines, but no columns."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from jinja2 import Environment

from gateway.domain import control_tokens

_QUOTES = re.compile(r"""^(["'])(.*)\1$""", re.DOTALL)


class Lexemes:
    """The lexical elements of one template, with their lines and columns (both from 1)."""

    def __init__(self, environment: Environment, text: str) -> None:
        """jinja2.TemplateSyntaxError when `text` is no template."""
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        # (offset, value, is plain text); whitespace left out
        self._found: list[tuple[int, str, bool]] = []
        offset = 0
        for _, kind, value in environment.lex(text):
            # The lexer drops white space around tags, never changes what it keeps.
            offset = text.find(value, offset)
            if kind not in ("whitespace", "comment", "comment_begin", "comment_end"):
                self._found.append((offset, value, kind == "data"))
            offset += len(value)

    def find(
        self, line: int, words: tuple[str, ...], *, bare: bool = False
    ) -> Iterator[tuple[int, int, int]]:
        """(line, column, width) of each place at or after `line` where these words follow one
        another inside tags; the place is that of the last word with letters, else of the last.
        `bare` leaves out fields and filters."""
        named = [index for index, word in enumerate(words) if any(map(str.isalpha, word))]
        shown = named[-1] if named else len(words) - 1
        for start in range(len(self._found) - len(words) + 1):
            part = self._found[start : start + len(words)]
            if any(plain for _, _, plain in part) or self._line(part[0][0]) < line:
                continue
            if bare and start and self._found[start - 1][1] in (".", "|"):
                continue
            if all(_same(value, word) for (_, value, _), word in zip(part, words, strict=True)):
                offset, value, _ = part[shown]
                yield (*self._place(offset), len(value.rstrip()))

    def control_tokens(self) -> Iterator[tuple[int, int, str]]:
        """(line, column, token) of each control token in text and in quoted words."""
        for offset, value, _ in self._found:
            start = 0
            while found := control_tokens.find(value[start:]):
                yield (*self._place(offset + start + found.start()), found[0])
                start += found.end()

    def _line(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def _place(self, offset: int) -> tuple[int, int]:
        line = self._line(offset)
        return line, offset - self._starts[line - 1] + 1


def _same(value: str, word: str) -> bool:
    if value == word or value.rstrip("-+ \n") == word:
        return True
    quoted = _QUOTES.match(value)
    return quoted is not None and quoted[2] == word
