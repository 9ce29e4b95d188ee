"""A candidate for a prompt, the forms that it may take, and the part of it that goes in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.domain.columns import LONGEST_LINE
from gateway.domain.structure import Run, marker, size, without

Kind = Literal[
    "instruction", "selection", "before", "after", "diagnostics", "related", "declaration", "edit",
    "rule", "turn",
]  # fmt: skip
State = Literal["included", "outlined", "ranges", "trimmed", "dropped"]

CHARS_PER_TOKEN = 5
"""More than code has (3.9), so that a first cut by characters never cuts what would have fitted."""

MARKER = "marker"
_MARKER_KEY_TEXT = marker(999_999)


@dataclass(frozen=True, slots=True)
class Piece:
    """A text counted under `key`, with the `frame` that a template puts around it; `runs` are its
    lines. What is `nearest` the selection is kept from its end."""

    key: str
    text: str = field(repr=False)
    frame: str = ""
    runs: tuple[Run, ...] = ()
    nearest: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """One way for a file to go in: whole, in ranges, as an outline; `why` says what it leaves."""

    state: State
    piece: Piece
    why: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A candidate: either `pieces`, in the order in which they are kept, or `forms`, best first.

    Lines are numbers from 0, ends exclusive. `range` is all of it; `rows` are the texts of those
    lines, where pieces are taken by lines. `unseen` lines lie beyond the pieces and are never
    counted; `bound` names what had no room for them, its share where it is empty. `refused` says
    why it is no candidate; `redacted` counts the secrets taken out; `clipped` lines are too long to
    be shown whole. Of an item with neither rows nor forms, `keep` says what stays when it is cut at
    a line: its head, or `all`.
    """

    id: str
    kind: Kind
    path: str = ""
    range: Run | None = None
    reason: str = ""
    pieces: tuple[Piece, ...] = field(default=(), repr=False)
    forms: tuple[Form, ...] = field(default=(), repr=False)
    rows: tuple[str, ...] = field(default=(), repr=False)
    keep: Literal["all", "head"] = "all"
    required: bool = False
    unseen: int = 0
    bound: str = ""
    refused: str = ""
    redacted: int = 0
    clipped: int = 0
    rank: int = 0

    @property
    def text(self) -> str:
        """The text of its pieces."""
        return "".join(piece.text for piece in self.pieces)

    def gaps(self, taken: Iterable[Run]) -> int:
        """How many markers stand for what of `range` is not in `taken`."""
        return len(without([self.range], taken)) if self.range else 0


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into the prompt of one item: `text`, markers included; `runs` are its real lines.

    `why` says what is not shown.
    """

    item: Item = field(repr=False)
    text: str = field(repr=False)
    tokens: int
    state: State = "included"
    runs: tuple[Run, ...] = ()
    why: str = ""

    @property
    def id(self) -> str:
        """Its item's."""
        return self.item.id

    @property
    def kind(self) -> Kind:
        """Its item's."""
        return self.item.kind

    @property
    def path(self) -> str:
        """Its item's."""
        return self.item.path

    @property
    def lines(self) -> int:
        """How many real lines it shows."""
        return size(self.runs)

    @property
    def range(self) -> Run | None:
        """From its first line to its last."""
        return (self.runs[0][0], self.runs[-1][1]) if self.runs else None


def strings(items: Iterable[Item]) -> dict[str, str]:
    """What to count, by key, without special tokens; `fit` takes the counts by the same keys."""
    found = {MARKER: _MARKER_KEY_TEXT}
    for item in items:
        for piece in (*item.pieces, *(form.piece for form in item.forms)):
            found[piece.key] = piece.frame + piece.text
    return found


def cost(item: Item, tokens: Mapping[str, int]) -> int:
    """Tokens of the whole item: all pieces, or its best form; with the markers, where it was cut
    already."""
    if item.forms:
        return tokens[item.forms[0].piece.key]
    taken = [run for piece in item.pieces for run in piece.runs]
    gaps = item.gaps(taken) if item.unseen else 0
    return sum(tokens[piece.key] for piece in item.pieces) + gaps * tokens[MARKER]


def clipped(rows: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """`rows` with the middle of those taken out that are longer than LONGEST_LINE: half as many
    characters are shown. And how many rows these are."""
    found: list[str] = []
    count = 0
    half = LONGEST_LINE // 4
    for row in rows:
        if len(row) > LONGEST_LINE:
            body = row.rstrip("\r\n")
            left = len(body) - 2 * half
            shown = body[:half] + hidden(left) + body[-half:]
            row = shown + row[len(body) :]
            count += 1
        found.append(row)
    return tuple(found), count


def clipped_edge(text: str, *, before: bool) -> tuple[str, int]:
    """What a long line has `before` the selection, or after it: the half LONGEST_LINE next to the
    selection, with a marker for the rest; and 1 where there is a rest, else 0."""
    body = text.rstrip("\r\n")
    left = len(body) - LONGEST_LINE // 2
    if left <= 0:
        return text, 0
    if before:
        return hidden(left) + body[left:], 1
    return body[: LONGEST_LINE // 2] + hidden(left) + text[len(body) :], 1


def hidden(count: int) -> str:
    """What stands for `count` characters of a line left out."""
    return f"[... {count} characters not shown ...]"
