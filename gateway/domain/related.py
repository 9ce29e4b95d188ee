"""Other files as candidates: who comes first, and the forms in which each may go in."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from gateway.domain import lines
from gateway.domain.item import MARKER, Form, Item, Kind, Part, Piece, State, clipped
from gateway.domain.material import Material, Related, Survey
from gateway.domain.relevance import relevance
from gateway.domain.source import path_parts
from gateway.domain.structure import (
    Run,
    Structure,
    excerpt,
    identifiers,
    joined,
    size,
    within,
    words,
)

MOST_RELATED = 20
"""Files, declarations and edits that are looked at."""

MOST_READ = 20_000
"""Characters of an open file in which names of the selection are looked for: some 0.7 ms."""

ATTACHED = "attached"
_RANKS = {ATTACHED: 0, "definition": 1, "declaration": 2, "open": 3, "import": 4, "edit": 5}
_REFERENCED = 1
_KINDS: dict[str, Kind] = {"declaration": "declaration", "edit": "edit"}
_STEPS_KEPT = 3
"""Places by which a file of the last prompt may have moved, and still keep the one it had there."""
_LEAST = 32
"""Tokens below which a part of a file is not worth its frame."""
_CAP = 0.5
"""What one file may take of the room at first, unless the user attached it."""
_WORTH = 0.9
"""An outline longer than this share of the whole saves too little."""
# Their keys are words like "name", which say nothing of where they are used.
_NAMELESS = frozenset(
    ("json", "jsonc", "yaml", "toml", "markdown", "css", "scss", "html", "plaintext")
)


@dataclass(frozen=True, slots=True)
class _Ranked:
    """A related file: its index in the material, its order (rank, -score, -relevance, path), and
    why."""

    index: int
    order: tuple[int, float, float, str, int]
    reason: str
    used: tuple[Run, ...]


def related(material: Material, survey: Survey, room: int) -> list[Item]:
    """All that was sent of other files, best first; `room` is the characters that they may have."""
    found: list[Item] = []
    seen = {material.file.path}
    counted = 2 * room
    ranked = _settled(_ranked(material, survey), material, survey.places)
    for place, one in enumerate(ranked):
        other = material.related[one.index]
        path = "/".join(path_parts(other.path))
        kind = _KINDS.get(other.reason, "related")
        looked_at = sum(not item.refused for item in found)
        refused = _refused(other, path, seen, looked_at)
        name = _id(kind, path, other, one.index, path in seen)
        if kind == "related":
            seen.add(path)
        item = Item(name, kind, path, reason=one.reason, refused=refused, rank=place)
        if not refused:
            item = _with_forms(item, other, one, survey.of(one.index))
            item = _counted(item, min(room, counted))
            counted -= sum(len(form.piece.text) for form in item.forms)
        found.append(replace(item, redacted=other.redacted))
    return found


def _refused(other: Related, path: str, seen: set[str], looked_at: int) -> str:
    if other.refused:
        return other.refused
    if path in seen and other.reason != "edit":
        return "the same file is there already"
    if not other.content.strip():
        return "it is empty"
    return f"only {MOST_RELATED} related files are looked at" if looked_at >= MOST_RELATED else ""


def _id(kind: Kind, path: str, other: Related, index: int, twice: bool) -> str:
    if kind == "related":
        return f"related:{path}" + (f"#{index}" if twice else "")
    return f"{kind}:{path}#{other.name or 'text'}#{index}"


# ── who comes first ───────────────────────────────────────────────────────────────────────────────


def _ranked(material: Material, survey: Survey) -> list[_Ranked]:
    """By rank, then by how much of it the selection uses; open files then by what they have in
    common with it; then by path."""
    wanted = identifiers(material.selected)
    common = _in_common(material, wanted)
    found = []
    for index, other in enumerate(material.related):
        structure, rank = survey.of(index), _RANKS.get(other.reason, _RANKS["open"])
        used = () if other.language in _NAMELESS else structure.named(wanted)
        names = sorted({one.name for one in used} or ({other.name} & wanted))
        score = sum(_weight(name) for name in names)
        if score >= 1 and rank > _REFERENCED and other.reason != "edit":
            rank = _REFERENCED
        reason = f"{other.reason}; referenced: {', '.join(names[:5])}" if names else other.reason
        runs = tuple((one.first, one.end) for one in used)
        order = (rank, -score, -common.get(index, 0.0), other.path, index)
        found.append(_Ranked(index, order, reason, runs))
    return sorted(found, key=lambda one: one.order)


def _in_common(material: Material, wanted: Collection[str]) -> dict[int, float]:
    """How relevant each open file is to the names `wanted`, by its index: an editor sends whatever
    is open, and seldom in a helpful order."""
    opened = [
        index
        for index, other in enumerate(material.related)
        if other.reason == "open" or other.reason not in _RANKS
        if not other.refused and other.path != material.file.path
    ]
    if len(opened) < 2:
        return {}
    texts = [words(material.related[index].content[:MOST_READ]) for index in opened]
    return dict(zip(opened, relevance(wanted, texts), strict=True))


def _weight(name: str) -> float:
    """How telling it is that a name occurs: long ones of several words hardly occur by chance."""
    if name.startswith("__") or len(name) < 3:
        return 0.0
    several = "_" in name.strip("_") or (name != name.lower() and name != name.upper())
    return (0.1 if name.startswith("_") else 1.0) * (10.0 if several and len(name) >= 8 else 1.0)


def _settled(ranked: list[_Ranked], material: Material, places: Mapping[str, int]) -> list[_Ranked]:
    """`ranked`, but what was in the last prompt has the place it had there, if that is not far: a
    prompt that stays the same is in the replica's cache. What the user attached keeps its rank."""

    def place(at: int) -> tuple[bool, int, bool, int]:
        other = material.related[ranked[at].index]
        last = places.get(other.path, -1)
        kept = last >= 0 and abs(last - at) <= _STEPS_KEPT
        return other.reason != ATTACHED, last if kept else at, not kept, at

    return [ranked[at] for at in sorted(range(len(ranked)), key=place)]


# ── in which form ─────────────────────────────────────────────────────────────────────────────────


def _with_forms(item: Item, other: Related, one: _Ranked, structure: Structure) -> Item:
    """`item` with all that could be shown of the file: whole, as ranges, with or without bodies."""
    rows, long = clipped(lines.split(other.content))
    count = len(rows)
    frame = f'<related path="{item.path}" reason="{other.reason}">\n\n</related>\n'
    outline = structure.outline(count) if other.reason != "edit" else ((0, count),)
    forms: list[Form] = []
    for state, runs in _wanted(within(other.ranges, 0, count), outline, one.used, count):
        text = excerpt(rows, runs)
        if forms and len(text) > _WORTH * len(forms[-1].piece.text):
            continue
        shown: State = "trimmed" if long and state == "included" else state
        why = "" if shown == "included" else f"{size(runs)} of {count} lines; {_said(state, long)}"
        key = f"{other.reason}#{one.index}#{len(forms)}"
        forms.append(Form(shown, Piece(key, text, frame, runs), why))
    return replace(item, range=(0, count), rows=rows, forms=tuple(forms), clipped=long)


def _wanted(
    chosen: tuple[Run, ...], outline: tuple[Run, ...], used: tuple[Run, ...], count: int
) -> Iterator[tuple[State, tuple[Run, ...]]]:
    """The forms of a file of `count` lines, best first."""
    if chosen and size(chosen) < count:
        yield "ranges", joined([*chosen, *(outline if size(outline) < count else ())])
        yield "ranges", chosen
        return
    yield "included", ((0, count),)
    if size(outline) < count:
        if used:
            yield "outlined", joined([*outline, *used])
        yield "outlined", outline
    if used:
        yield "ranges", joined(used)


def _said(state: str, long: int) -> str:
    says = {"ranges": "those that matter here", "outlined": "bodies are left out"}
    return says.get(state, f"{long} are too long to be shown whole")


def _counted(item: Item, room: int) -> Item:
    """`item` with the forms that could fit into `room` characters; the last is cut to that."""
    fitting = tuple(form for form in item.forms if len(form.piece.text) <= room)
    if fitting:
        return replace(item, forms=fitting)
    last = item.forms[-1]
    kept, left = [], room
    for at in _lines(last.piece.runs):
        left -= len(item.rows[at])
        if left < 0:
            break
        kept.append((at, at + 1))
    runs = joined(kept)
    if not runs:
        return replace(item, forms=(), refused="no room in its share")
    return replace(item, forms=(_trimmed(item, last, runs),))


def _trimmed(item: Item, form: Form, runs: tuple[Run, ...]) -> Form:
    piece = replace(form.piece, text=excerpt(item.rows, runs), runs=runs)
    why = f"{size(runs)} of {len(item.rows)} lines fit into its share"
    return Form("trimmed", piece, why)


def _lines(runs: tuple[Run, ...]) -> Iterator[int]:
    for first, end in runs:
        yield from range(first, end)


# ── what goes in ──────────────────────────────────────────────────────────────────────────────────


def pack(items: list[Item], tokens: Mapping[str, int], room: int) -> list[Part]:
    """Parts of at most `room` tokens together. First each file takes the best form that half of the
    room holds, by rank; then, by rank again, what is left makes them fuller."""
    chosen: dict[str, Part] = {}
    left = room
    for item in items:
        cap = left if item.reason.startswith(ATTACHED) else min(left, int(_CAP * room))
        part = _best(item, tokens, cap) or _best(item, tokens, left)
        if part:
            chosen[item.id] = part
            left -= part.tokens
    for item in items:
        part = chosen.get(item.id)
        if part and part.text != item.forms[0].piece.text:
            fuller = _best(item, tokens, part.tokens + left)
            if fuller and fuller.lines > part.lines:
                chosen[item.id] = fuller
                left -= fuller.tokens - part.tokens
    return list(chosen.values())


def _best(item: Item, tokens: Mapping[str, int], room: int) -> Part | None:
    for form in item.forms:
        size_ = tokens[form.piece.key]
        if size_ <= room:
            return Part(item, form.piece.text, size_, form.state, form.piece.runs, form.why)
    last = item.forms[-1]
    return _cut(item, last, tokens, room) if room >= _LEAST else None


def _cut(item: Item, form: Form, tokens: Mapping[str, int], room: int) -> Part | None:
    """The first lines of a form that does not fit."""
    whole = tokens[form.piece.key]
    density = whole / max(len(form.piece.text) + len(form.piece.frame), 1)
    spent = density * len(form.piece.frame) * 1.05 + tokens[MARKER] + 1  # one at the end
    kept: list[Run] = []
    for at in _lines(form.piece.runs):
        more = density * len(item.rows[at]) * 1.05
        if at > (kept[-1][1] if kept else 0):
            more += tokens[MARKER]
        if spent + more > room:
            break
        spent += more
        kept.append((at, at + 1))
    runs = joined(kept)
    if not runs:
        return None
    cut = _trimmed(item, form, runs)
    return Part(item, cut.piece.text, math.ceil(spent), cut.state, runs, cut.why)
