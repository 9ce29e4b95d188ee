"""Context that an answer repeats: lines from around the selection, cut off or at least noticed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.domain import indent

Rows = list[str]
"""Lines without their ends."""

_MOST_BORDERS = 20  # repeated lines have as many as there are lines
_NEAR = 200  # lines around the selection in which an import that is said again is looked for
_IMPORT = re.compile(
    r"(?:import|from|use|using|#include|#import|package|require|require_relative|source)\b"
    r"|(?:const|let|var)\b.*\brequire\(|export\b.*\bfrom\b"
)


@dataclass(frozen=True, slots=True)
class Trimmed:
    """The lines without repeated context, and one that repeats some and was left: it may be meant.

    `rows` is None when the answer is nothing but context.
    """

    rows: Rows | None
    repeated: str = ""


def trim(new: Rows, old: Rows, before: Rows, after: Rows) -> Trimmed:
    """`new` without lines of the context around `old`, however many blank lines it has in them.

    Two lines in all are asked for, or an import: one that is repeated may be meant.
    """
    head = _overlap(new, old, before)
    tail = _overlap(new[::-1], old[::-1], after[::-1])
    rest, weight = new, 0
    base = len(indent.common(old))
    both = bool(head and tail) and head + tail <= len(new)
    if head and (both or _telling(new[:head], base)):
        rest, weight = rest[head:], weight + _weight(new[:head])
    if tail and (both or _telling(new[len(new) - tail :], base)) and tail <= len(rest):
        rest, weight = rest[: len(rest) - tail], weight + _weight(new[len(new) - tail :])
    if weight < 2:
        rest = new
    if not any(row.strip() for row in rest):
        return Trimmed(None)
    return Trimmed(rest, _repeated(rest, old, before, after))


def _overlap(new: Rows, old: Rows, before: Rows) -> int:
    """How many lines at the start of `new` are the last of `before`, and not the first of `old`.

    Blank lines are passed over, since models lose and add them; those that follow on both sides
    belong to it.
    """
    start, above, own = _filled(new), _filled(before[-2 * len(new) - _NEAR :]), _filled(old)
    heads, tops, owns = ([row for _, row in rows] for rows in (start, above, own))
    said, had = Counter(heads), Counter(owns)
    for size in islice(_borders(heads, tops[-len(heads) :]), _MOST_BORDERS):
        same = heads[:size] == owns[:size]
        if all(said[row] <= had[row] for row in heads[:size]):
            continue  # the selection's own lines, in another place
        if not same or heads[size : 2 * size] == owns[:size]:
            end = start[size][0] if size < len(start) else len(new)
            blank_below = bool(before) and not before[-1].strip()
            return end if blank_below else start[size - 1][0] + 1
    return 0


def _filled(rows: Rows) -> list[tuple[int, str]]:
    """The lines that are not blank, with their places, spaces at the end aside."""
    return [(index, row.rstrip()) for index, row in enumerate(rows) if row.strip()]


def _borders(start: Rows, above: Rows) -> Iterator[int]:
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


def _telling(rows: Rows, base: int) -> bool:
    """Whether repeated lines cannot be part of the new text by chance, as brackets alone could."""
    if len(rows) < 2:
        return _weight(rows) > 1
    outside = all(len(indent.leading(row)) < base for row in rows if row.strip())
    return outside or any(re.search(r"\w", row) for row in rows)


def _weight(rows: Rows) -> int:
    """Lines, and one more where a line imports something: nobody imports it twice."""
    return len(rows) + any(_IMPORT.match(row.strip()) for row in rows)


def _repeated(new: Rows, old: Rows, before: Rows, after: Rows) -> str:
    """A line that the answer has of its context and the selection has not: the one next to the
    selection, or an import from near it."""
    filled = [row.rstrip() for row in new if row.strip()]
    own = {row.rstrip() for row in old}
    edges = ((filled[0], before[::-1]), (filled[-1], after))
    for row, beside in edges:
        next_row = next((one.rstrip() for one in beside if one.strip()), None)
        if row == next_row and row not in own and re.search(r"\w", row):
            return row.strip()
    near = {row.rstrip() for row in (*before[-_NEAR:], *after[:_NEAR])}
    found = (row for row in filled if row in near and row not in own)
    return next((row.strip() for row in found if _IMPORT.match(row.strip())), "")
