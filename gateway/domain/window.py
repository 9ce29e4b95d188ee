"""The file around the selection: which of its lines matter most, in pieces that are counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from gateway.domain.item import MARKER, Item, Part, Piece, clipped, clipped_edge, cost
from gateway.domain.material import Material
from gateway.domain.structure import Run, Structure, excerpt, identifiers, joined, size, within
from gateway.domain.structure import without as less

MOST_PIECES = 18
"""Pieces of one side of the file."""

_MOST_IMPORTS, _MOST_USED, _NEAR_FIRST = 60, 200, 56
"""Lines of imports, of definitions that the selection uses, and next to the selection, that go
before the outline of the file."""

_Wanted = tuple[tuple[Run, ...], bool]


def windows(material: Material, structure: Structure, rooms: tuple[int, int]) -> tuple[Item, Item]:
    """The lines above and below the selection, of at most so many characters each."""
    above, below = rooms
    return (
        _window("before", material, structure, above),
        _window("after", material, structure, below),
    )


def _window(
    kind: Literal["before", "after"], material: Material, structure: Structure, room: int
) -> Item:
    here, texts, long = _side(kind, material)
    pieces: list[Piece] = []
    taken: tuple[Run, ...] = ()
    for runs, nearest in _wanted(kind, material, structure, here):
        fresh = less(within(runs, *here), taken)
        seen, room = _seen(fresh, nearest, texts, here[0], room)
        if seen and len(pieces) < MOST_PIECES:
            text = "".join("".join(texts[one - here[0] : end - here[0]]) for one, end in seen)
            pieces.append(Piece(f"{kind}#{len(pieces)}", text, "", seen, nearest))
            taken = joined([*taken, *seen])
        if size(seen) < size(fresh):
            break
    count = here[1] - here[0]
    return Item(
        kind,
        kind,
        material.file.path,
        here,
        "around the selection",
        tuple(pieces),
        rows=texts,
        unseen=count - size(taken),
        refused="" if pieces else "no room in its share" if count else "nothing is there",
        clipped=long,
    )


def _side(kind: Literal["before", "after"], material: Material) -> tuple[Run, tuple[str, ...], int]:
    """The lines above or below the selection, their texts, and how many of these are clipped. What
    a long line has beside the selection is the line next to it."""
    rows, span = material.rows, material.span
    head, tail = material.edges
    if kind == "before":
        texts, long = clipped(rows[: span.first_line])
        edge, more = clipped_edge(head, before=True)
        return (0, span.first_line + bool(head)), (*texts, *filter(None, [edge])), long + more
    texts, long = clipped(rows[span.end_line :])
    edge, more = clipped_edge(tail, before=False)
    here = (span.end_line - bool(tail), len(rows))
    return here, (*filter(None, [edge]), *texts), long + more


def _wanted(
    kind: Literal["before", "after"], material: Material, structure: Structure, here: Run
) -> Iterator[_Wanted]:
    """Lines by how much they matter: the headers of what the selection is in, imports, the lines
    next to it, the definitions that it uses, an outline of the file, and then outwards."""
    span = material.span
    near = list(_doubling(kind, here))
    around = structure.around(span.first_line, span.end_line)
    yield tuple((one.first, one.body[0]) for one in around), False
    yield _first(structure.imports, _MOST_IMPORTS), False
    width = 0
    while near and width < _NEAR_FIRST:
        width += size([near[0]])
        yield (near.pop(0),), kind == "before"
    if structure.definitions:
        names = identifiers(material.selected)
        used = [one for one in structure.named(names) if one not in around]
        yield _first(((one.first, one.end) for one in used), _MOST_USED), False
        yield structure.outline(len(material.rows)), False
    for run in near:
        yield (run,), kind == "before"


def _doubling(kind: Literal["before", "after"], here: Run) -> Iterator[Run]:
    """The lines `here` from the selection outwards: 8, 16, 32 …, and all the rest at last."""
    first, end = here
    step, count = 8, 0
    while first < end:
        count += 1
        step = end - first if count == MOST_PIECES - 5 else min(step, end - first)
        if kind == "before":
            yield end - step, end
            end -= step
        else:
            yield first, first + step
            first += step
        step *= 2


def _first(runs: Iterable[Run], most: int) -> tuple[Run, ...]:
    """The first of `runs`, `most` lines at most, none cut."""
    found = []
    for run in runs:
        most -= size([run])
        if most < 0:
            break
        found.append(run)
    return tuple(found)


def _seen(
    runs: tuple[Run, ...], nearest: bool, texts: tuple[str, ...], first: int, room: int
) -> tuple[tuple[Run, ...], int]:
    """(the lines of `runs` that have at most `room` characters together, what is left of it)."""
    kept = []
    for at in _in_order(runs, nearest):
        length = len(texts[at - first])
        if length > room:
            break
        room -= length
        kept.append((at, at + 1))
    return joined(kept), room


def _in_order(runs: Iterable[Run], nearest: bool) -> Iterator[int]:
    """Each line, in the order in which they are kept; above the selection the last comes first."""
    if nearest:
        for first, end in reversed([*runs]):
            yield from range(end - 1, first - 1, -1)
    else:
        for first, end in runs:
            yield from range(first, end)


def cut(item: Item, tokens: Mapping[str, int], room: int) -> Part | None:
    """The lines of `item` that `room` tokens hold, markers for the gaps included; None for none."""
    taken: tuple[Run, ...] = ()
    spent = 0
    if not item.unseen and cost(item, tokens) <= room:
        taken, spent = (
            joined(run for piece in item.pieces for run in piece.runs),
            cost(item, tokens),
        )
    for piece in item.pieces if not taken else ():
        more = joined([*taken, *piece.runs])
        if spent + tokens[piece.key] + item.gaps(more) * tokens[MARKER] <= room:
            taken, spent = more, spent + tokens[piece.key]
            continue
        markers = (item.gaps(taken) + len(piece.runs)) * tokens[MARKER]
        some, size_ = _some(item, piece, tokens[piece.key], room - spent - markers)
        taken, spent = joined([*taken, *some]), spent + size_
        break
    if not taken or item.range is None:
        return None
    spent += item.gaps(taken) * tokens[MARKER]
    text = excerpt(item.rows, taken, item.range[0])
    count, shown = size([item.range]), size(taken)
    if shown == count:
        why = f"{item.clipped} lines are too long to be shown whole" if item.clipped else ""
        return Part(item, text, spent, "trimmed" if item.clipped else "included", taken, why)
    room_of = (shown == count - item.unseen and item.bound) or "its share"
    return Part(item, text, spent, "trimmed", taken, f"{shown} of {count} lines fit into {room_of}")


def _some(item: Item, piece: Piece, whole: int, room: int) -> tuple[list[Run], int]:
    """(lines of `piece` that fit into `room`, their tokens), by the tokens of a character here."""
    assert item.range is not None
    density = whole / max(len(piece.text), 1)
    kept: list[Run] = []
    spent, paid = 0.0, 0
    for at in _in_order(piece.runs, piece.nearest):
        spent += density * len(item.rows[at - item.range[0]]) * 1.05
        if math.ceil(spent) + 1 > room:
            break
        kept.append((at, at + 1))
        paid = math.ceil(spent) + 1
    return kept, paid
