"""The context builder: what of the material goes into the prompt, and a report of every part.

items = candidates(material, budget, survey)
counts = dict(zip(strings(items), await count(list(strings(items).values()))))
fitted = fit(items, counts, budget, overhead)   # then render, count exactly, `shrink` if over
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.domain import related, window
from gateway.domain.budget import Budget, ContextTooLarge, level, share_out
from gateway.domain.item import Item, Kind, Part, State, cost, strings
from gateway.domain.structure import Run

__all__ = ["SHRINKS", "Entry", "Fitted", "Report", "fit", "measured", "shrink", "strings"]

SHRINKS = 3
"""How often a caller should shrink before it gives up: the second time is already rare."""

MOST_TOKENS = 75_000
"""Tokens of what is not required, however large the window: a prompt has a bound in characters."""

_MARGIN = 8
"""Tokens to go further than the overrun when shrinking, since estimates rest on whole pieces."""

_CLASSES: dict[Kind, str] = {
    "before": "file",
    "after": "file",
    "related": "related",
    "declaration": "related",
    "edit": "related",
    "rule": "rules",
    "diagnostics": "diagnostics",
    "turn": "history",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the report. `runs` is what went in, lines from 0; `why` says what did not.

    The entry `template` is the prompt around the parts; its tokens make the sum exact. `redacted`
    counts the secrets that were taken out.
    """

    id: str
    kind: Kind | Literal["template"]
    path: str
    runs: tuple[Run, ...]
    state: State
    tokens: int
    reason: str
    why: str = ""
    redacted: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What went in, what was cut and why. `used` is the sum of the tokens of all `items`;
    `prefix_sha` is the hash of what stands first and seldom changes: two prompts with the same one
    begin with the same tokens."""

    window: int
    reserved_output: int
    used: int
    prefix_sha: str
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

    def of(self, *kinds: Kind) -> tuple[Part, ...]:
        """The parts of these kinds: files by path, rules and turns as they were given."""
        return tuple(part for part in self.parts if part.kind in kinds)

    def text(self, kind: Kind) -> str:
        """The text of the one part of that kind; `""` without one."""
        return "".join(part.text for part in self.of(kind))

    def holds(self, rendered: int) -> bool:
        """Whether a prompt that was counted exactly leaves the reserve for the answer."""
        return rendered <= self.budget.available

    def report(self, prompt_sha: str = "") -> Report:
        """Every candidate, once, and the template, whose hash is `prompt_sha`."""
        parts = {part.id: part for part in self.parts}
        template = Entry("template", "template", "", (), "included", self.overhead, "the prompt")
        return Report(
            window=self.budget.window,
            reserved_output=self.budget.reserve,
            used=self.used,
            prefix_sha=_prefix(prompt_sha, self.of("rule", "related", "declaration")),
            items=(template, *(_entry(item, parts.get(item.id)) for item in self.items)),
        )


def fit(items: Sequence[Item], tokens: Mapping[str, int], budget: Budget, overhead: int) -> Fitted:
    """What of `items` goes in, so that the reserve stays free by the counts given.

    `tokens` are the counts of `strings(items)`; `overhead` those of the prompt with every part
    empty. Required parts go in whole, or `ContextTooLarge` is raised; then the file around the
    selection, related files by rank, rules and the conversation, by the shares of `budget.SHARES`,
    cut at lines with a marker that is paid for.
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
    demands = {name: sum(cost(item, tokens) for item in group) for name, group in groups.items()}
    slack = 0
    for name, room in share_out(demands, min(budget.available - needed, MOST_TOKENS)).items():
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
    if name == "related":
        return related.pack(group, tokens, room)
    if name == "history":
        return _newest(group, tokens, room)
    shares = [room] * len(group)
    if name == "file":  # both sides evenly
        shares = level([cost(item, tokens) for item in group], room)
    found: list[Part] = []
    for item, share in zip(group, shares, strict=True):
        part = window.cut(item, tokens, min(share, room))
        if part:
            found.append(part)
            room -= part.tokens
    return found


def _newest(group: list[Item], tokens: Mapping[str, int], room: int) -> list[Part]:
    """The newest messages, whole and without a gap."""
    found = []
    for item in group:
        room -= cost(item, tokens)
        if room < 0:
            break
        found.append(_whole(item, tokens))
    return found


def _whole(item: Item, tokens: Mapping[str, int]) -> Part:
    runs = (item.range,) if item.range else ()
    return Part(item, item.text, cost(item, tokens), runs=runs)


# ── order and report ──────────────────────────────────────────────────────────────────────────────

_ORDER: tuple[Kind, ...] = (
    *("rule", "related", "declaration", "edit", "before", "selection", "after"),
    *("diagnostics", "turn", "instruction"),
)


def _place(part: Part) -> tuple[int, str, int]:
    """Stable text first and files by path, not by rank: equal prefixes are cached."""
    if part.kind in ("rule", "turn"):
        return _ORDER.index(part.kind), "", int(part.id.split(":")[1])
    return _ORDER.index(part.kind), part.id, 0


def _prefix(prompt_sha: str, stable: Sequence[Part]) -> str:
    """Of all that stands before the file in question, edits aside."""
    found = hashlib.sha256(prompt_sha.encode())
    for part in stable:
        found.update(f"\0{part.kind}\0{part.path}\0{part.text}".encode("utf-8", "replace"))
    return found.hexdigest()[:16]


def _entry(item: Item, part: Part | None) -> Entry:
    if part is None:
        why = item.refused or "no room in its share"
        return Entry(item.id, item.kind, item.path, (), "dropped", 0, item.reason, why)
    runs = () if item.kind == "diagnostics" else part.runs
    return Entry(
        item.id,
        item.kind,
        item.path,
        runs,
        part.state,
        part.tokens,
        item.reason,
        part.why,
        item.redacted,
    )
