"""Candidates for a prompt about code: every part of the material, in pieces that are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.domain import lines
from gateway.domain.budget import Budget, level, share_out
from gateway.domain.item import CHARS_PER_TOKEN, Item, Kind, Piece, clipped_edge
from gateway.domain.material import Material, Rule, Survey, nearest
from gateway.domain.related import related
from gateway.domain.source import path_parts
from gateway.domain.window import windows

MOST_RULES, MOST_TURNS = 8, 12
"""Files of rules, the nearest, and messages, the newest, that are looked at."""
MOST_RULE_BYTES = 32 * 1024
"""Bytes of all files of rules together, nearest first: as others that read AGENTS.md have it."""
MOST_CHARS = 350_000
"""Characters of what is not required, however large the window: a prompt has a bound of its own."""
MOST_STRINGS = 128
"""How many texts are counted at most, with all that bounds them."""


def candidates(material: Material, budget: Budget, survey: Survey | None = None) -> list[Item]:
    """Every part of `material` as an item; the refused ones too, so that the report names them.

    Texts are cut at lines to what could fit at the very best; no more is ever counted.
    """
    survey = survey or Survey()
    rows, span = material.rows, material.span
    head, tail = material.edges
    above = _length(rows[: span.first_line]) + len(clipped_edge(head, before=True)[0])
    below = _length(rows[span.end_line :]) + len(clipped_edge(tail, before=False)[0])
    groups = {
        "diagnostics": _diagnostics(material),
        "rules": _rules(material),
        "history": _turns(material),
    }
    demands = {name: sum(_size(item) for item in group) for name, group in groups.items()}
    demands["file"] = above + below
    demands["related"] = sum(len(other.content) for other in material.related)
    rooms = share_out(demands, min(CHARS_PER_TOKEN * budget.available, MOST_CHARS))
    up, down = level([above, below], rooms["file"])
    found = _required(material)
    if material.has_file:
        found += windows(material, survey.file, (up, down))
    for name in ("diagnostics", "related", "rules", "history"):
        if name == "related":
            found += related(material, survey, rooms[name])
        else:
            found += _first_cut(name, groups[name], rooms[name])
    return found


def _required(material: Material) -> list[Item]:
    file, span = material.file, material.span
    asked = Piece("instruction", material.instruction)
    selected = Piece("selection", material.selected)
    whole = (span.first_line, span.end_line)
    found = [Item("instruction", "instruction", "", None, "the wish", (asked,), required=True)]
    if material.has_file:
        why = material.why
        item = Item("selection", "selection", file.path, whole, why, (selected,), required=True)
        found.append(item)
    return found


# ── what is kept by its head, or not at all ───────────────────────────────────────────────────────


def _rules(material: Material) -> list[Item]:
    """Rules, nearest first: that is the order in which they are kept."""
    found = []
    left = MOST_RULE_BYTES
    chain = rule_chain(material)
    for index, rule in reversed(list(enumerate(chain))):
        refused = rule.refused or _other_folder(rule, material.file.path)
        if not rule.content.strip():
            refused = refused or "it is empty"
        if len(chain) - index > MOST_RULES:
            refused = refused or f"only the nearest {MOST_RULES} files of rules are looked at"
        piece = Piece(f"rule#{index}", rule.content, f'<rules path="{rule.path}">\n</rules>\n')
        item = _head(f"rule:{index}:{rule.path}", "rule", rule.path, "rules of the project", piece)
        if refused:
            item = replace(item, refused=refused, pieces=())
        else:
            item, left = _within_chain(item, left)
        found.append(replace(item, redacted=rule.redacted))
    return found


def _within_chain(item: Item, left: int) -> tuple[Item, int]:
    """`item`, cut at a line where the chain has only so many bytes `left`; and what is left then:
    nothing, once one was cut, for no rule should be there without those that are nearer."""
    sizes = [len(row.encode("utf-8", "replace")) for row in item.rows]
    if sum(sizes) <= left:
        return item, left - sum(sizes)
    seen = _fitting(sizes, left)
    if not seen:
        why = f"no line of it fits into the {MOST_RULE_BYTES} bytes of all rules, nearer ones first"
        return replace(item, pieces=(), refused=why), 0
    return replace(_headed(item, seen), bound=f"the {MOST_RULE_BYTES} bytes of all rules"), 0


def rule_chain(material: Material) -> list[Rule]:
    """The rules from the root to the nearest folder; those of one folder as they were sent."""
    return sorted(material.rules, key=lambda rule: _folder(rule.path).count("/"))


def _folder(path: str) -> str:
    """The folder of a path, each of its names with a slash: "" for the root."""
    return "".join(f"{part}/" for part in path_parts(path.rpartition("/")[0]))


def _other_folder(rule: Rule, path: str) -> str:
    """Why the rule does not hold for the file, "" where it does: an AGENTS.md is of its folder."""
    if not rule.path.endswith("AGENTS.md") or _folder(path).startswith(_folder(rule.path)):
        return ""
    return "it is the AGENTS.md of another folder"


def _diagnostics(material: Material) -> list[Item]:
    """All diagnostics as one item, a line each, in the order of `nearest`."""
    if not material.diagnostics:
        return []
    piece = Piece("diagnostics", "".join(said.text for said in nearest(material)))
    return [_head("diagnostics", "diagnostics", material.file.path, "said about the file", piece)]


def _head(name: str, kind: Kind, path: str, reason: str, piece: Piece) -> Item:
    """An item that may be cut at a line, its head staying."""
    rows = tuple(lines.split(piece.text))
    whole = (0, len(rows))
    piece = replace(piece, runs=(whole,))
    return Item(name, kind, path, whole, reason, (piece,), rows=rows, keep="head")


def _turns(material: Material) -> list[Item]:
    """The conversation, newest first."""
    found = []
    for index, turn in reversed(list(enumerate(material.conversation))):
        late = len(material.conversation) - index > MOST_TURNS
        refused = f"only the last {MOST_TURNS} messages are looked at" if late else ""
        piece = Piece(f"turn#{index}", turn.content, f"\n{turn.role}\n\n")
        item = Item(f"turn:{index}", "turn", reason=turn.role, pieces=(piece,))
        found.append(replace(item, pieces=(), refused=refused) if refused else item)
    return found


# ── the first cut ─────────────────────────────────────────────────────────────────────────────────


def _first_cut(name: str, group: list[Item], room: int) -> list[Item]:
    """`group` with what certainly has no room cut off: at a line, or refused."""
    found = []
    for item in group:
        share = min(_size(item), max(room, 0))
        found.append(_cut_to(item, share))
        room -= share
        if name == "history" and found[-1].refused:
            room = 0  # no gap in a conversation
    return found


def _cut_to(item: Item, room: int) -> Item:
    if _size(item) <= room:
        return item
    seen = _fitting(list(map(len, item.rows)), room) if item.keep == "head" else 0
    if not seen:
        return replace(item, pieces=(), refused="no room in its share")
    return _headed(item, seen)


def _headed(item: Item, seen: int) -> Item:
    """`item` with its first `seen` rows alone."""
    piece = replace(item.pieces[0], text="".join(item.rows[:seen]), runs=((0, seen),))
    return replace(item, pieces=(piece,), unseen=len(item.rows) - seen, bound="")


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first `sizes` are at most `room` together."""
    for index, size in enumerate(sizes):
        room -= size
        if room < 0:
            return index
    return len(sizes)


def _size(item: Item) -> int:
    return sum(len(piece.text) for piece in item.pieces)


def _length(rows: list[str]) -> int:
    return sum(map(len, rows))
