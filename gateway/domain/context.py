"""The context builder: what of the material goes into the prompt, and a report of every part.

items = candidates(material, budget)
counts = dict(zip(strings(items), await count(list(strings(items).values()))))
fitted = fit(items, counts, budget, overhead)   # then render, count exactly, `shrink` if over
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.domain import lines
from gateway.domain.budget import Budget, ContextTooLarge, level, share_out
from gateway.domain.candidates import MARKER, Item, Kind, Piece, candidates, marker, strings, tiers
from gateway.domain.material import Material

__all__ = [
    "SHRINKS",
    "Budget",
    "ContextTooLarge",
    "Entry",
    "Fitted",
    "Item",
    "Material",
    "Part",
    "Report",
    "candidates",
    "fit",
    "measured",
    "shrink",
    "strings",
]

SHRINKS = 3
"""How often a caller should shrink before it gives up: the second time is already rare."""

_LEAST = 32
"""Tokens below which a part of a file is not worth its frame."""

_MARGIN = 8
"""Tokens to go further than the overrun when shrinking, since estimates rest on whole pieces."""

_CLASSES: dict[Kind, str] = {
    "before": "file",
    "after": "file",
    "related": "related",
    "rule": "rules",
    "diagnostics": "diagnostics",
    "turn": "history",
}


@dataclass(frozen=True, slots=True)
class Part:
    """What goes into the prompt of one item: `text`, marker included; `lines` of it are real."""

    id: str
    kind: Kind
    path: str
    reason: str
    text: str = field(repr=False)
    range: tuple[int, int] | None
    tokens: int
    lines: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the report. `range` is what went in, lines from 0; `why` it was cut or left out.

    The entry `template` is the prompt around the parts; its tokens make the sum exact.
    """

    id: str
    kind: Kind | Literal["template"]
    path: str
    range: tuple[int, int] | None
    state: Literal["included", "trimmed", "dropped"]
    tokens: int
    reason: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What went in, what was cut and why. `used` is the sum of the tokens of all `items`."""

    window: int
    reserved_output: int
    used: int
    items: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Fitted:
    """The parts that fit, in the order of the prompt, and how they came to be chosen."""

    parts: tuple[Part, ...]
    budget: Budget
    overhead: int
    items: tuple[Item, ...] = field(repr=False)
    tokens: Mapping[str, int] = field(repr=False)

    @property
    def used(self) -> int:
        """Tokens of the prompt: those of the template and of all parts."""
        return self.overhead + sum(part.tokens for part in self.parts)

    def of(self, kind: Kind) -> tuple[Part, ...]:
        """The parts of a kind: related by path, rules and turns as they were given."""
        return tuple(part for part in self.parts if part.kind == kind)

    def text(self, kind: Kind) -> str:
        """The text of the one part of that kind; `""` without one."""
        return "".join(part.text for part in self.of(kind))

    def holds(self, rendered: int) -> bool:
        """Whether a prompt that was counted exactly leaves the reserve for the answer."""
        return rendered <= self.budget.available

    @property
    def report(self) -> Report:
        """Every candidate, once, and the template."""
        parts = {part.id: part for part in self.parts}
        template = Entry("template", "template", "", None, "included", self.overhead, "the prompt")
        return Report(
            window=self.budget.window,
            reserved_output=self.budget.reserve,
            used=self.used,
            items=(template, *(_entry(item, parts.get(item.id)) for item in self.items)),
        )


def fit(items: Sequence[Item], tokens: Mapping[str, int], budget: Budget, overhead: int) -> Fitted:
    """What of `items` goes in, so that the reserve stays free by the counts given.

    `tokens` are the counts of `strings(items)`; `overhead` those of the prompt with every part
    empty. Required parts go in whole, or `ContextTooLarge` is raised; then the file around the
    selection, near lines first, related files, rules and the conversation, by the shares of
    `budget.SHARES`, cut at lines with a marker that is paid for.
    """
    parts = {item.id: _whole(item, tokens) for item in items if item.required}
    named = {name: part.tokens for name, part in parts.items()}
    needed = overhead + sum(named.values())
    if needed > budget.available:
        raise ContextTooLarge(needed, budget, {"prompt": overhead, **named})
    groups: dict[str, list[Item]] = {}
    for item in items:
        if not item.required and not item.refused:
            groups.setdefault(_CLASSES[item.kind], []).append(item)
    demands = {name: sum(_demand(item, tokens) for item in group) for name, group in groups.items()}
    slack = 0
    for name, room in share_out(demands, budget.available - needed).items():
        chosen = _pack(name, groups.get(name, []), tokens, room + slack)
        parts |= {part.id: part for part in chosen}
        slack += room - sum(part.tokens for part in chosen)
    ordered = [parts[item.id] for item in items if item.id in parts]
    return Fitted(tuple(sorted(ordered, key=_place)), budget, overhead, tuple(items), tokens)


def shrink(fitted: Fitted, rendered: int) -> Fitted:
    """Fit again after the rendered prompt was counted at `rendered` tokens, which were too many."""
    overhead = fitted.overhead + rendered - fitted.used + _MARGIN
    return fit(fitted.items, fitted.tokens, fitted.budget, overhead)


def measured(fitted: Fitted, rendered: int) -> Fitted:
    """`fitted` with the exact count in its report; raises `ContextTooLarge` when that is over.

    What joining the parts added or saved is put down to the template.
    """
    if not fitted.holds(rendered):
        raise ContextTooLarge(rendered, fitted.budget, {"prompt": rendered})
    return replace(fitted, overhead=rendered - (fitted.used - fitted.overhead))


# ── one class ─────────────────────────────────────────────────────────────────────────────────────


def _pack(name: str, group: list[Item], tokens: Mapping[str, int], room: int) -> list[Part]:
    """Parts of at most `room` tokens together. `group` is in the order in which it is kept."""
    if name == "history":
        return _newest(group, tokens, room)
    found: list[Part] = []
    for tier in tiers(name, group):
        demands = [_demand(item, tokens) for item in tier]
        if sum(demands) > room:  # few parts of some use rather than a line of each
            demands = demands[: max(room // _LEAST, 1)]
        for item, share in zip(tier, level(demands, room), strict=False):
            part = _cut(item, tokens, share)
            if part:
                found.append(part)
                room -= part.tokens
    return found


def _newest(group: list[Item], tokens: Mapping[str, int], room: int) -> list[Part]:
    """The newest messages, whole and without a gap."""
    found = []
    for item in group:
        room -= _cost(item, tokens)
        if room < 0:
            break
        found.append(_whole(item, tokens))
    return found


# ── one item ──────────────────────────────────────────────────────────────────────────────────────


def _cost(item: Item, tokens: Mapping[str, int]) -> int:
    return sum(tokens[piece.key] for piece in item.pieces)


def _demand(item: Item, tokens: Mapping[str, int]) -> int:
    """What the item would take if it could: with the marker, where it was cut already."""
    return _cost(item, tokens) + (tokens[MARKER] if item.unseen else 0)


def _whole(item: Item, tokens: Mapping[str, int]) -> Part:
    return _part(item, item.text, _cost(item, tokens), len(lines.split(item.text)))


def _part(item: Item, text: str, cost: int, count: int) -> Part:
    span = item.range
    if span and item.kind not in ("selection", "instruction"):
        span = (span[1] - count, span[1]) if item.keep == "tail" else (span[0], span[0] + count)
    return Part(item.id, item.kind, item.path, item.reason, text, span, cost, count)


def _cut(item: Item, tokens: Mapping[str, int], room: int) -> Part | None:
    """The lines of `item` that `room` tokens hold with the marker; None when no line does."""
    if not item.unseen and _cost(item, tokens) <= room:
        return _whole(item, tokens)
    room -= tokens[MARKER]
    cost = tokens[MARKER]
    kept: list[str] = []
    for piece in item.pieces:
        rows = lines.split(piece.text)
        rows = rows[::-1] if item.keep == "tail" else rows
        size = tokens[piece.key]
        if size <= room:
            count = len(rows)
        else:
            count, size = _some(piece, rows, size, room)
        kept += rows[:count]
        cost += size
        room -= size
        if count < len(rows):
            break
    if not kept:
        return None
    left = marker(len(lines.split(item.text)) + item.unseen - len(kept))
    text = left + "".join(kept[::-1]) if item.keep == "tail" else "".join(kept) + left
    return _part(item, text, cost, len(kept))


def _some(piece: Piece, rows: list[str], size: int, room: int) -> tuple[int, int]:
    """(how many of `rows` fit into `room`, their tokens), by the tokens of a character here."""
    density = size / (len(piece.text) + len(piece.frame))
    spent = density * len(piece.frame)
    cost = count = 0
    for row in rows:
        spent += density * len(row) * 1.05
        if math.ceil(spent) + 1 > room:
            break
        cost, count = math.ceil(spent) + 1, count + 1
    return count, cost


# ── order and report ──────────────────────────────────────────────────────────────────────────────

_ORDER: tuple[Kind, ...] = (
    "rule", "related", "before", "selection", "after", "diagnostics", "turn", "instruction"
)  # fmt: skip


def _place(part: Part) -> tuple[int, str, int]:
    """Stable text first and files by path, not by rank: equal prefixes are cached."""
    number = int(part.id.split(":")[1]) if part.kind in ("rule", "turn") else 0
    return _ORDER.index(part.kind), part.path if part.kind == "related" else "", number


def _entry(item: Item, part: Part | None) -> Entry:
    if part is None:
        why = item.refused or "no room in its share"
        return Entry(item.id, item.kind, item.path, None, "dropped", 0, item.reason, why)
    whole = len(lines.split(item.text)) + item.unseen
    state: Literal["included", "trimmed"] = "included" if part.lines == whole else "trimmed"
    why = "" if state == "included" else f"{part.lines} of {whole} lines fit into its share"
    return Entry(item.id, item.kind, item.path, part.range, state, part.tokens, item.reason, why)
