"""A pattern in a text that is still coming: what has been found, and what may yet become it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Not `re`: only this one can tell a text that may still become a match.
import regex  # type: ignore[import-untyped]

_SECONDS = 0.2
_PER_SECOND = 1_000_000
_PARTS = regex.compile(r"(?s)\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.")
# Where regex cannot be relied on to see that a match has begun: what it makes of the end of the
# text in these would change with the next character.
_DOUBTFUL = regex.compile(r"\\[mMGKXR]|\(\*|\(\?[is]*[^:isP<=!)]|\[\[[^:]")
_NOT = regex.compile(r"\(\?<?!")
_ENDS = regex.compile(r"\\[bBZz]|\$")


@dataclass(frozen=True, slots=True)
class Sight:
    """`spans` are matches that nothing can change any more; from `settled` on the text may still
    become one. All of it is settled where nothing more comes."""

    spans: tuple[tuple[int, int], ...]
    settled: int


class Watch:
    """One regular expression, `regex`'s or `re`'s. ValueError says what is wrong with it.

    Where it wants something of what stands around a match: back it sees what it is given, and
    ahead what has come so far. `doubtful` ones, with (?m), (?> or negative lookarounds at a \\b,
    cannot be seen beginning: of these `most` characters always wait.
    """

    def __init__(self, pattern: str, most: int = 1024) -> None:
        try:
            self._find = regex.compile(pattern)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if self._find.search(""):
            raise ValueError("matches where there is nothing at all")
        if self._find.flags & regex.REVERSE:
            raise ValueError("(?r) cannot be searched for on a stream")
        self._most = most
        self._begin = beginning(pattern)
        doubts = _DOUBTFUL.search(pattern) or (_NOT.search(pattern) and _ENDS.search(pattern))
        self.doubtful = bool(doubts) or self._begin is None

    def look(self, text: str, start: int = 0, *, final: bool = False) -> Sight:
        """What `text` holds from `start` on; what is before it is only looked back at. TimeoutError
        after 0.2 s, and a second for each million characters."""
        seconds = _SECONDS + len(text) / _PER_SECOND
        found = self._find.finditer(text, start, timeout=seconds, concurrent=True)
        spans = tuple(match.span() for match in found)
        if final:
            return Sight(spans, len(text))
        settled = len(text)
        if self._begin is not None:
            begun = self._begin.search(text, start, partial=True, timeout=seconds)
            settled = begun.start() if begun else settled
        if self.doubtful:
            settled = max(start, min(settled, len(text) - self._most))
        return certain(spans, text, settled)


def beginning(pattern: str) -> Any:
    """A compiled pattern that never matches, and whose partial match is the leftmost text at the
    end that may become a match of `pattern`. None where `pattern` bears no addition."""
    # The end of the text stands for whatever word border is wanted there: the next character will
    # tell.
    parts = (part.group() for part in _PARTS.finditer(pattern))
    begun = "".join(rf"(?:{part}|\Z)" if part in (r"\b", r"\B") else part for part in parts)
    try:
        return regex.compile(f"(?:{begun})(*FAIL)")
    except regex.error:
        return None


def certain(spans: tuple[tuple[int, int], ...], text: str, settled: int) -> Sight:
    """Of `spans`, in order, those that end before what may still become a match. One that ends with
    the text may grow, or turn out to be none: `cat\\b` before the "s" of "cats"."""
    # `$` also matches before a newline that ends the text.
    end = len(text.removesuffix("\n"))
    for first, last in reversed(spans):
        if last > settled or last >= end:
            settled = min(settled, first)
    return Sight(tuple(span for span in spans if span[1] <= settled), settled)
