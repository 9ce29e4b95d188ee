"""Candidates for a prompt about code: every part of the material, in pieces that are counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.domain import lines
from gateway.domain.budget import Budget, level, share_out
from gateway.domain.material import Material, nearest

Kind = Literal[
    "instruction", "selection", "before", "after", "diagnostics", "related", "rule", "turn"
]

MOST_RELATED, MOST_RULES, MOST_TURNS, MOST_PIECES = 16, 8, 12, 10
"""Caps that bound how many strings are counted: at most 60 with both sides of the file."""

CHARS_PER_TOKEN = 5
"""More than code has (3.9), so that a first cut by characters never cuts what would have fitted."""

MARKER = "marker"
_MARKER_KEY_TEXT = "[... 999999 lines not shown ...]\n"


@dataclass(frozen=True, slots=True)
class Piece:
    """A text counted under `key`, with the `frame` that a template puts around it."""

    key: str
    text: str
    frame: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A candidate. `pieces` are in the order in which they are kept: for `before`, nearest first.

    `keep` says which end stays when it is cut at a line: `all` is never cut. `range` is lines from
    0, end exclusive. `unseen` lines lie beyond the pieces: too far away to be counted at all.
    `refused` says why it is no candidate.
    """

    id: str
    kind: Kind
    path: str = ""
    range: tuple[int, int] | None = None
    reason: str = ""
    pieces: tuple[Piece, ...] = field(default=(), repr=False)
    keep: Literal["all", "head", "tail"] = "all"
    required: bool = False
    unseen: int = 0
    refused: str = ""

    @property
    def text(self) -> str:
        """The whole text, in reading order, without what is unseen."""
        parts = [piece.text for piece in self.pieces]
        return "".join(reversed(parts) if self.keep == "tail" else parts)


def marker(count: int) -> str:
    """The line that stands for `count` lines left out."""
    return f"[... {count} lines not shown ...]\n"


def strings(items: Iterable[Item]) -> dict[str, str]:
    """What to count, by key: at most 64 strings, without special tokens.

    `fit` takes the counts by the same keys.
    """
    found = {MARKER: _MARKER_KEY_TEXT}
    for item in items:
        for piece in item.pieces:
            found[piece.key] = piece.frame + piece.text
    return found


def candidates(material: Material, budget: Budget) -> list[Item]:
    """Every part of `material` as an item; the refused ones too, so that the report names them.

    Texts are cut at lines to what could fit at the very best; no more is ever counted.
    """
    groups = {
        "diagnostics": _diagnostics(material),
        "related": _related(material),
        "rules": _rules(material),
        "history": _turns(material),
    }
    above = lines.split(material.file.before(material.span))
    below = lines.split(material.file.after(material.span))
    demands = {name: sum(_size(item) for item in group) for name, group in groups.items()}
    demands["file"] = _length(above) + _length(below)
    rooms = share_out(demands, CHARS_PER_TOKEN * budget.available)
    up, down = level([_length(above), _length(below)], rooms["file"])
    found = [
        *_required(material),
        _window("before", material, above, up),
        _window("after", material, below, down),
    ]
    for name, group in groups.items():
        found += _first_cut(name, group, rooms[name])
    return found


def _required(material: Material) -> list[Item]:
    file, span = material.file, material.span
    asked = Piece("instruction", material.instruction)
    selected = Piece("selection", file.text(span))
    whole = (span.first_line, span.end_line)
    return [
        Item("instruction", "instruction", "", None, "the wish", (asked,), required=True),
        Item("selection", "selection", file.path, whole, "selected", (selected,), required=True),
    ]


# ── the file around the selection ─────────────────────────────────────────────────────────────────


def _window(
    kind: Literal["before", "after"], material: Material, rows: list[str], room: int
) -> Item:
    """One side of the file in pieces that double, nearest first, of `room` characters in all."""
    above = kind == "before"
    near = rows[::-1] if above else rows
    seen = _fitting(near, room)
    pieces: list[Piece] = []
    at, size = 0, 8
    while at < seen:
        stop = seen if len(pieces) == MOST_PIECES - 1 else min(at + size, seen)
        part = near[at:stop]
        pieces.append(Piece(f"{kind}#{len(pieces)}", "".join(part[::-1] if above else part)))
        at, size = stop, size * 2
    start = 0 if above else material.span.end_line
    return Item(
        kind,
        kind,
        material.file.path,
        (start, start + len(rows)),
        "around the selection",
        tuple(pieces),
        keep="tail" if above else "head",
        unseen=len(rows) - seen,
        refused=_no_window(len(rows), seen),
    )


def _no_window(count: int, seen: int) -> str:
    return "" if seen else "no room in its share" if count else "nothing is there"


def _fitting(rows: Sequence[str], room: int) -> int:
    """How many of the first `rows` have at most `room` characters together."""
    for index, row in enumerate(rows):
        room -= len(row)
        if room < 0:
            return index
    return len(rows)


# ── all the rest ──────────────────────────────────────────────────────────────────────────────────

_ATTACHED = "attached"
_RANKS = {_ATTACHED: 0, "definition": 1, "import": 2}


def _related(material: Material) -> list[Item]:
    """Related files, what the user attached first; each path once."""
    ranked = sorted(material.related, key=lambda other: _RANKS.get(other.reason, 3))
    found: list[Item] = []
    seen = {material.file.path}
    for index, other in enumerate(ranked):
        path = "/".join(part for part in other.path.split("/") if part not in ("", "."))
        refused = ""
        if path in seen:
            refused = "the same file is there already"
        elif not other.content.strip():
            refused = "it is empty"
        elif sum(not item.refused for item in found) == MOST_RELATED:
            refused = f"only {MOST_RELATED} related files are looked at"
        frame = f'<context path="{path}" reason="{other.reason}">\n\n</context>\n'
        piece = Piece(f"related#{index}", other.content, frame)
        name = f"related:{path}" + (f"#{index}" if path in seen else "")
        seen.add(path)
        found.append(_head(name, "related", path, other.reason, piece, refused))
    return found


def _rules(material: Material) -> list[Item]:
    """Rules, nearest first: that is the order in which they are kept."""
    found = []
    for index, rule in reversed(list(enumerate(material.rules))):
        refused = "" if rule.content.strip() else "it is empty"
        if len(material.rules) - index > MOST_RULES:
            refused = f"only the nearest {MOST_RULES} files of rules are looked at"
        piece = Piece(f"rule#{index}", rule.content, f'<rules path="{rule.path}">\n</rules>\n')
        name = f"rule:{index}:{rule.path}"
        found.append(_head(name, "rule", rule.path, "rules of the project", piece, refused))
    return found


def _diagnostics(material: Material) -> list[Item]:
    """All diagnostics as one item, a line each, in the order of `nearest`."""
    if not material.diagnostics:
        return []
    piece = Piece("diagnostics", "".join(said.text for said in nearest(material)))
    return [_head("diagnostics", "diagnostics", material.file.path, "said about the file", piece)]


def _head(name: str, kind: Kind, path: str, reason: str, piece: Piece, refused: str = "") -> Item:
    """An item that may be cut at a line, its head staying."""
    pieces = () if refused else (piece,)
    whole = (0, len(lines.split(piece.text))) if kind != "diagnostics" else None
    return Item(name, kind, path, whole, reason, pieces, keep="head", refused=refused)


def _turns(material: Material) -> list[Item]:
    """The conversation, newest first."""
    found = []
    for index, turn in reversed(list(enumerate(material.conversation))):
        late = len(material.conversation) - index > MOST_TURNS
        refused = f"only the last {MOST_TURNS} messages are looked at" if late else ""
        piece = Piece(f"turn#{index}", turn.content, f"\n{turn.role}\n\n")
        found.append(
            Item(
                f"turn:{index}",
                "turn",
                reason=turn.role,
                pieces=() if refused else (piece,),
                refused=refused,
            )
        )
    return found


def tiers(name: str, group: list[Item]) -> list[list[Item]]:
    """`group` by rank. What is in a tier shares evenly; a tier takes before the next does.

    Files that the user attached go before all other files; rules and messages go one by one.
    """
    if name in ("rules", "history"):
        return [[item] for item in group]
    attached = [item for item in group if item.reason == _ATTACHED]
    return [attached, [item for item in group if item not in attached]]


def _first_cut(name: str, group: list[Item], room: int) -> list[Item]:
    """`group` with what certainly has no room cut off: at a line, or refused."""
    found = []
    for tier in tiers(name, group):
        for item, share in zip(tier, level([_size(item) for item in tier], room), strict=True):
            found.append(_cut_to(item, share))
            room -= share
        if name == "history" and found[-1].refused:
            room = 0  # no gap in a conversation
    return found


def _cut_to(item: Item, room: int) -> Item:
    if _size(item) <= room:
        return item
    rows = lines.split(item.text) if item.keep == "head" else []
    seen = _fitting(rows, room)
    if not seen:
        return replace(item, pieces=(), refused="no room in its share")
    piece = replace(item.pieces[0], text="".join(rows[:seen]))
    return replace(item, pieces=(piece,), unseen=len(rows) - seen)


def _size(item: Item) -> int:
    return sum(len(piece.text) for piece in item.pieces)


def _length(rows: list[str]) -> int:
    return sum(map(len, rows))
