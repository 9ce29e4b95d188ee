"""A rewrite while it is still being said: each change as soon as unchanged lines follow it."""

from __future__ import annotations

import re
from bisect import bisect_left

from gateway.domain import lines
from gateway.domain.source import PositionEncoding, Selection, SourceFile, Span
from gateway.domain.text_edits import TextEdit

_WRAPPED = re.compile(r"\s*(?:`{3}|~{3}|</?(?:think|thinking|reasoning|rewritten|selected)\b)")


class Growing:
    """Finds the changes in an answer that continues a prefill and is nothing but the new text.

    A preview: two unchanged lines after a change make it final, as far as one can tell before the
    end. An answer that begins otherwise (a fence, thinking, lines from above the selection, another
    indentation) gives none at all; its result will tell.
    """

    def __init__(self, file: SourceFile, span: Span, units: PositionEncoding) -> None:
        self._file = file
        self._units = units
        rows = lines.split(file.text(span))
        self._old = [row.rstrip() for row in rows]
        self._starts = [span.start]
        for row in rows:
            self._starts.append(self._starts[-1] + len(row.encode(file.encoding)))
        self._pairs: dict[tuple[str, str], list[int]] = {}
        for at, pair in enumerate(zip(self._old, self._old[1:], strict=False)):
            if any(re.search(r"\w", row) for row in pair):
                self._pairs.setdefault(pair, []).append(at)
        above = file.before(span).rstrip().rpartition("\n")[2].rstrip()
        self._above = above if above not in self._old else None
        self._at = 0
        self._pending: list[str] = []
        self._half = ""
        self._plain = True

    def feed(self, text: str) -> list[TextEdit]:
        """The changes that became final with this piece."""
        if not self._plain:
            return []
        if "\n" not in text:
            self._half += text
            return []
        *whole, self._half = (self._half + text).split("\n")
        found = [edit for row in whole if (edit := self._line(row.rstrip())) is not None]
        return found if self._plain else []

    def _line(self, row: str) -> TextEdit | None:
        if not self._at and (row == self._above or _WRAPPED.match(row)):
            self._plain = False
        if not self._pending and self._at < len(self._old) and self._old[self._at] == row:
            self._at += 1
            return None
        self._pending.append(row)
        if len(self._pending) < 2:
            return None
        places = self._pairs.get((self._pending[-2], row), [])
        index = bisect_left(places, self._at)
        if index == len(places):
            return None
        return self._change(places[index])

    def _change(self, until: int) -> TextEdit | None:
        """The old lines up to `until` have become what is pending but for its last two."""
        first, rows = self._at, self._pending[:-2]
        self._at, self._pending = until + 2, []
        if first == until and not rows:
            return None
        start, end = self._starts[first], self._starts[until]
        place = Selection(
            self._file.position(start, self._units), self._file.position(end, self._units)
        )
        return TextEdit(place, "".join(row + self._file.eol for row in rows), start, end)
