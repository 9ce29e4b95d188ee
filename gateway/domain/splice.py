"""New text fitted into its place: repeated context cut, indentation and line ends as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.domain import indent, lines
from gateway.domain.original import Original


@dataclass(frozen=True, slots=True)
class Spliced:
    """The new text of the range, byte for byte; what was adjusted, what is doubtful, or why not."""

    text: str
    adjusted: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    why: str = ""


def splice(text: str, original: Original) -> Spliced:
    """`text` as it has to stand in the file in the place of `original.selected`.

    Lines that did not change keep their own bytes: trailing spaces and line ends. New lines end as
    the line they replace, or as their neighbour. The last line has an end if it had one. Blank
    lines at the edges stay as they were. Blank text deletes the lines.
    """
    adjusted: list[str] = []
    old, ends = _contents(original.selected)
    new, _ = _contents(text)
    if not any(row.strip() for row in new):
        return Spliced("")
    blank_edges = _edges(new)
    new = _core(new)
    cut = _without_context(new, old, original)
    if cut is None:
        return Spliced(text, why="the answer repeats only the text around the selection")
    if cut != new:
        adjusted.append("context_overlap")
        blank_edges = _edges(cut)
    rebased = indent.rebase(_core(cut), old)
    adjusted += rebased.adjusted
    edges = _edges(old)
    if edges != blank_edges:
        adjusted.append("edge_blank_lines")
    new = edges[0] + rebased.lines + edges[1]
    kept = _with_trailing_spaces(new, old)
    if kept != new:
        adjusted.append("trailing_spaces")
    doubts = ("indent",) if rebased.doubtful else ()
    return Spliced(_with_ends(kept, old, ends, original), tuple(adjusted), doubts)


def _contents(text: str) -> tuple[list[str], list[str]]:
    """The lines of `text` without their ends, and the ends: `\\n`, `\\r\\n` or nothing."""
    rows = lines.split(text)
    ends = [
        row[len(row.rstrip("\n").removesuffix("\r")) :] if row[-1] == "\n" else "" for row in rows
    ]
    return [row[: len(row) - len(end)] for row, end in zip(rows, ends, strict=True)], ends


# ── repeated context ──────────────────────────────────────────────────────────────────────────────


def _without_context(new: list[str], old: list[str], original: Original) -> list[str] | None:
    """`new` without lines of the context around the selection; None when nothing else is left.

    Two lines in all are asked for: one that is repeated may be meant.
    """
    before, after = _contents(original.before)[0], _contents(original.after)[0]
    head = _overlap(new, old, before)
    tail = _overlap(new[::-1], old[::-1], after[::-1])
    base = len(indent.common(old))
    if not (head and tail):
        head = head if _telling(new[:head], base) else 0
        tail = tail if _telling(new[len(new) - tail :], base) else 0
    if head + tail < 2:
        return new
    rest = new[head : len(new) - tail]
    return rest if any(row.strip() for row in rest) else None


def _overlap(new: list[str], old: list[str], before: list[str]) -> int:
    """How many lines at the start of `new` are the last of `before`, and not the first of `old`."""
    above = [row.rstrip() for row in before[-len(new) :]]
    start = [row.rstrip() for row in new]
    own = [row.rstrip() for row in old]
    for size in islice(_borders(start, above), _MOST_BORDERS):
        same = start[:size] == own[:size]
        if any(start[:size]) and (not same or start[size : 2 * size] == own[:size]):
            return size
    return 0


_MOST_BORDERS = 20  # repeated lines have as many as there are lines


def _borders(start: list[str], above: list[str]) -> Iterator[int]:
    """The sizes at which the first rows of `start` are the last of `above`, largest first.

    By the prefix function of Knuth, Morris and Pratt: in linear time however lines repeat.
    """
    rows: list[str | None] = [*start, None, *above]
    table = [0] * len(rows)
    size = 0
    for index in range(1, len(rows)):
        while size and rows[index] != rows[size]:
            size = table[size - 1]
        size += rows[index] == rows[size]
        table[index] = size
    while size:
        yield size
        size = table[size - 1]


def _telling(rows: list[str], base: int) -> bool:
    """Whether repeated lines cannot be part of the new text by chance, as brackets alone could."""
    if len(rows) < 2:
        return False
    outside = all(len(indent.leading(row)) < base for row in rows if row.strip())
    return outside or any(re.search(r"\w", row) for row in rows)


# ── whitespace ────────────────────────────────────────────────────────────────────────────────────


def _edges(rows: list[str]) -> tuple[list[str], list[str]]:
    """The blank lines at the start and the end of `rows`: models lose and add them."""
    if not any(row.strip() for row in rows):
        return [], []
    filled = [index for index, row in enumerate(rows) if row.strip()]
    return rows[: filled[0]], rows[filled[-1] + 1 :]


def _core(rows: list[str]) -> list[str]:
    above, below = _edges(rows)
    return rows[len(above) : len(rows) - len(below)]


def _with_trailing_spaces(new: list[str], old: list[str]) -> list[str]:
    """`new` with the spaces at line ends that `old` has, unless they are all that changed."""
    kept = list(new)
    for run in _shared(old, new):
        kept[run.new : run.new + run.size] = old[run.old : run.old + run.size]
    return new if kept == old else kept


def _shared(old: list[str], new: list[str]) -> list[lines.Run]:
    return lines.runs([row.rstrip() for row in old], [row.rstrip() for row in new])


def _with_ends(new: list[str], old: list[str], ends: list[str], original: Original) -> str:
    """The lines of `new` joined, each with the end of its line in `old` or of its neighbour."""
    given: list[str | None] = [None] * len(new)
    at = new_at = 0
    for run in [*_shared(old, new), lines.Run(len(old), len(new), 0)]:
        replaced = range(min(run.old - at, run.new - new_at))
        pairs = [(at + step, new_at + step) for step in replaced]
        pairs += [(run.old + step, run.new + step) for step in range(run.size)]
        for index, new_index in pairs:
            given[new_index] = ends[index] or None
        at, new_at = run.old + run.size, run.new + run.size
    filled = list(_filled_in(given, _first_end(given, original)))
    if original.selected and not original.selected.endswith("\n"):
        filled[-1] = ""
    return "".join(row + end for row, end in zip(new, filled, strict=True))


def _first_end(given: list[str | None], original: Original) -> str:
    return next((end for end in given if end), original.eol)


def _filled_in(given: Iterable[str | None], first: str) -> Iterable[str]:
    """Every line without an end takes that of the line above it."""
    last = first
    for end in given:
        last = end or last
        yield last
