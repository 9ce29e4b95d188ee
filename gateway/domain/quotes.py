"""Where a quoted line of code stands: looked up in the selection, and never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain import lines
from gateway.domain.material import Material
from gateway.domain.source import PositionEncoding, Selection

_SHORTEST = 4
"""Characters of a part of a line that may be looked for: less is in every line."""


@dataclass(slots=True)
class Quotes:
    """Finds quotes in the selected lines of `material`. A line that occurs more than once is given
    to one quote after the other, from the top."""

    material: Material
    units: PositionEncoding = "utf-16"
    _shown: list[str] = field(init=False)
    _bare: list[str] = field(init=False)
    _bytes: list[bytes] = field(init=False)
    _starts: list[int] = field(init=False)
    _places: dict[str, list[int]] = field(init=False)
    _bare_places: dict[str, list[int]] = field(init=False)
    _taken: set[tuple[int, int]] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        file, span = self.material.file, self.material.span
        self._shown = [row.rstrip("\r\n") for row in lines.split(self.material.selected)]
        self._bare = [row.strip() for row in self._shown]
        self._places, self._bare_places = _by_text(self._shown), _by_text(self._bare)
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
        runs = _runs(wanted, self._shown, self._places)
        runs = runs or _runs([row.strip() for row in wanted], self._bare, self._bare_places)
        if runs:
            first = next((run for run in runs if run not in self._taken), runs[0])
            self._taken.add(first)
            return self._place(*first)
        return self._part(quote.strip()) if len(wanted) == 1 else None

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


def _by_text(rows: Sequence[str]) -> dict[str, list[int]]:
    """Where each line is: a review looks for many, and most lines are no start of any."""
    found: dict[str, list[int]] = {}
    for at, row in enumerate(rows):
        found.setdefault(row, []).append(at)
    return found


def _runs(
    wanted: Sequence[str], rows: Sequence[str], places: Mapping[str, Sequence[int]]
) -> list[tuple[int, int]]:
    """The runs of `rows` that are `wanted`; `places` is where each text is among the rows."""
    count = len(wanted)
    return [(at, at + count) for at in places.get(wanted[0], ()) if rows[at : at + count] == wanted]
