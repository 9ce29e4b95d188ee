"""Where a quoted line of code stands: looked up in the selection, and never guessed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.domain import lines
from gateway.domain.material import Material
from gateway.domain.source import PositionEncoding, Selection

Same = Callable[[str, str], bool]

_SHORTEST = 4
"""Characters of a part of a line that may be looked for: less is in every line."""


@dataclass(slots=True)
class Quotes:
    """Finds quotes in the selected lines of `material`. A line that occurs more than once is given
    to one quote after the other, from the top."""

    material: Material
    units: PositionEncoding = "utf-16"
    _shown: list[str] = field(init=False)
    _bytes: list[bytes] = field(init=False)
    _starts: list[int] = field(init=False)
    _taken: set[tuple[int, int]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        file, span = self.material.file, self.material.span
        self._shown = [row.rstrip("\r\n") for row in lines.split(self.material.selected)]
        self._bytes = lines.split(file.content[span.start : span.end])
        self._starts = [span.start]
        for row in self._bytes:
            self._starts.append(self._starts[-1] + len(row))

    def find(self, quote: str) -> Selection | None:
        """The place of `quote` as the client counts it, without the spaces around it: whole lines,
        spaces at their ends aside, else a part of one line that occurs only once. None where the
        selection does not have it."""
        wanted = [row.rstrip("\r") for row in quote.strip("\r\n").split("\n")]
        if not quote.strip():
            return None
        for same in (_exactly, _stripped):
            if runs := self._runs(wanted, same):
                first = next((run for run in runs if run not in self._taken), runs[0])
                self._taken.add(first)
                return self._place(*first)
        return self._part(quote.strip()) if len(wanted) == 1 else None

    def _runs(self, wanted: Sequence[str], same: Same) -> list[tuple[int, int]]:
        count = len(wanted)
        return [
            (at, at + count)
            for at in range(len(self._shown) - count + 1)
            if all(map(same, wanted, self._shown[at : at + count]))
        ]

    def _part(self, quote: str) -> Selection | None:
        if len(quote) < _SHORTEST:
            return None
        rows = [at for at, row in enumerate(self._shown) if quote in row]
        if len(rows) != 1 or self._shown[rows[0]].count(quote) != 1:
            return None
        (at,) = rows
        codec = self.material.file.encoding
        row = self._bytes[at].decode(codec)
        place = row.find(quote)
        if place < 0:  # what is shown is not what is there: a secret was taken out of the line
            return self._place(at, at + 1)
        start = self._starts[at] + len(row[:place].encode(codec))
        return self._selection(start, start + len(quote.encode(codec)))

    def _place(self, first: int, end: int) -> Selection:
        codec = self.material.file.encoding
        head = self._bytes[first].decode(codec)
        last = self._bytes[end - 1].decode(codec)
        indent = len(head) - len(head.lstrip())
        start = self._starts[first] + len(head[:indent].encode(codec))
        stop = self._starts[end - 1] + len(last.rstrip().encode(codec))
        return self._selection(start, max(start, stop))

    def _selection(self, start: int, end: int) -> Selection:
        file = self.material.file
        return Selection(file.position(start, self.units), file.position(end, self.units))


def _exactly(quote: str, row: str) -> bool:
    return quote == row


def _stripped(quote: str, row: str) -> bool:
    return quote.strip() == row.strip()
