"""New text fitted into its place: repeated context cut, indentation and line ends as they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain import indent, lines, overlap
from gateway.domain.original import Original


@dataclass(frozen=True, slots=True)
class Spliced:
    """The new text of the range, byte for byte; what was adjusted, what is doubtful, or why not.

    `repeated` is a line of the context that the text says again.
    """

    text: str
    adjusted: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    repeated: str = ""
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
    around = (_contents(side)[0] for side in (original.before, original.after))
    trimmed = overlap.trim(new, old, *around)
    cut = trimmed.rows
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
    shared = _shared(old, new)
    kept = _with_trailing_spaces(new, old, shared)
    if kept != new:
        adjusted.append("trailing_spaces")
    doubts = ("indent",) if rebased.doubtful else ()
    fitted = _with_ends(kept, shared, ends, original)
    return Spliced(fitted, tuple(adjusted), doubts, trimmed.repeated)


def rejoin(rows: list[str], original: Original) -> str:
    """`rows`, lines without ends, as text in the place of the selection: each that did not change
    with its own bytes."""
    old, ends = _contents(original.selected)
    if not rows:
        return ""
    shared = _shared(old, rows)
    return _with_ends(_with_trailing_spaces(rows, old, shared), shared, ends, original)


def rows_of(text: str) -> list[str]:
    """The lines of `text` without their ends."""
    return _contents(text)[0]


def _contents(text: str) -> tuple[list[str], list[str]]:
    """The lines of `text` without their ends, and the ends: `\\n`, `\\r\\n` or nothing."""
    rows = lines.split(text)
    ends = [
        row[len(row.rstrip("\n").removesuffix("\r")) :] if row[-1] == "\n" else "" for row in rows
    ]
    return [row[: len(row) - len(end)] for row, end in zip(rows, ends, strict=True)], ends


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


def _with_trailing_spaces(new: list[str], old: list[str], shared: list[lines.Run]) -> list[str]:
    """`new` with the spaces at line ends that `old` has, unless they are all that changed."""
    kept = list(new)
    for run in shared:
        kept[run.new : run.new + run.size] = old[run.old : run.old + run.size]
    return new if kept == old else kept


def _shared(old: list[str], new: list[str]) -> list[lines.Run]:
    """The runs of lines that are equal but for spaces at their ends."""
    return lines.runs([row.rstrip() for row in old], [row.rstrip() for row in new])


def _with_ends(new: list[str], shared: list[lines.Run], ends: list[str], original: Original) -> str:
    """The lines of `new` joined, each with the end of the old line that it is or replaces, or of
    its neighbour."""
    given: list[str | None] = [None] * len(new)
    at = new_at = 0
    for run in [*shared, lines.Run(len(ends), len(new), 0)]:
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
