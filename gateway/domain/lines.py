"""Lines as git sees them: split at `\\n` only, each with its own end; and what two lists share."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import AnyStr, NamedTuple

MAX_DIFFERING = 20_000
"""Where more lines than this differ on one side they are one block: replaced, not compared."""

MAX_EDITS = 700
"""Edits that one search for the shortest diff may need; beyond, the comparison is split."""

MAX_STEPS = 1_500_000
"""Steps that all searches of one comparison may take together: about a second."""


class Run(NamedTuple):
    """`size` lines that are equal: `a[old : old + size] == b[new : new + size]`."""

    old: int
    new: int
    size: int


class Box(NamedTuple):
    """A part of both lists that is still to be compared, ends exclusive."""

    old: int
    old_end: int
    new: int
    new_end: int


class Search(NamedTuple):
    """How far one search came into its box, whether that is the far corner, and its way there."""

    old: int
    new: int
    complete: bool
    fronts: list[dict[int, int]]
    """Of each round of edits before the last: how far the old side was reached, by diagonal."""
    steps: int


def split(text: AnyStr) -> list[AnyStr]:
    """The lines of `text` with their ends; joined they give `text` back. Only `\\n` ends a line."""
    end = b"\n" if isinstance(text, bytes) else "\n"
    parts = text.split(end)
    last = parts.pop()
    found = [part + end for part in parts]
    if last:
        found.append(last)
    return found


def runs(old: Sequence[Hashable], new: Sequence[Hashable]) -> list[Run]:
    """The runs of equal lines, rising on both sides; what lies between two runs differs.

    The shortest diff (Myers) where it has few edits, however often lines repeat. Where it has many,
    lines that occur once on both sides are anchors (patience) and the gaps are compared; without
    anchors the search goes on from the farthest point it came to. The time is bounded: about a
    second for the worst 20 000 lines, by taking as one block what is left after `MAX_STEPS`.
    """
    numbers: dict[Hashable, int] = {}
    a = [numbers.setdefault(line, len(numbers)) for line in old]
    b = [numbers.setdefault(line, len(numbers)) for line in new]
    found: list[Run] = []
    boxes = [Box(0, len(a), 0, len(b))]
    steps = MAX_STEPS
    while boxes:
        box, ends = _trim(a, b, boxes.pop())
        found += ends
        sizes = (box.old_end - box.old, box.new_end - box.new)
        if not min(sizes) or max(sizes) > MAX_DIFFERING:
            continue
        search = _search(a, b, box) if steps > 0 else None
        steps -= search.steps if search else 0
        anchors = [] if search and search.complete else _anchors(a, b, box)
        if anchors:
            found += anchors
            boxes += _between(anchors, box)
        elif search:
            found += _walk_back(search, box)
            boxes.append(box._replace(old=box.old + search.old, new=box.new + search.new))
    return _joined(sorted(found))


def _trim(a: list[int], b: list[int], box: Box) -> tuple[Box, list[Run]]:
    """The box without its common head and tail, and these two as runs."""
    x, x_end, y, y_end = box
    while x < x_end and y < y_end and a[x] == b[y]:
        x, y = x + 1, y + 1
    while x < x_end and y < y_end and a[x_end - 1] == b[y_end - 1]:
        x_end, y_end = x_end - 1, y_end - 1
    head, tail = Run(box.old, box.new, x - box.old), Run(x_end, y_end, box.old_end - x_end)
    return Box(x, x_end, y, y_end), [run for run in (head, tail) if run.size]


def _search(a: list[int], b: list[int], box: Box) -> Search:
    """Myers' greedy search for the shortest diff of `box`, given up after `MAX_EDITS`.

    `reach[k]` is how far into the old side the diagonal `k` (old - new) came with `edits` edits; an
    index below zero is a diagonal below zero, since Python counts it from the end.
    """
    x0, y0 = box.old, box.new
    n, m = box.old_end - x0, box.new_end - y0
    reach = [0] * (n + m + 3)
    fronts: list[dict[int, int]] = []
    steps = 0
    for edits in range(min(n + m, MAX_EDITS) + 1):
        low = -edits if edits <= m else edits - 2 * m
        high = edits if edits <= n else 2 * n - edits
        diagonals = range(low, high + 1, 2)
        for k in diagonals:
            down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
            x = start = reach[k + 1] if down else reach[k - 1] + 1
            y = x - k
            while x < n and y < m and a[x0 + x] == b[y0 + y]:
                x += 1
                y += 1
            reach[k] = x
            steps += 1 + x - start
            if x >= n and y >= m:
                return Search(x, y, True, fronts, steps)
        fronts.append({k: reach[k] for k in diagonals})
    far, best = max((2 * x - k, k) for k, x in fronts.pop().items() if x <= n and x - k <= m)
    return Search((far + best) // 2, (far - best) // 2, False, fronts, steps)


def _walk_back(search: Search, box: Box) -> list[Run]:
    """The runs on the path from the corner of `box` to the point that the search came to."""
    found = []
    x, y = search.old, search.new
    for edits in range(len(search.fronts), 0, -1):
        front = search.fronts[edits - 1]
        k = x - y
        down = k == -edits or (k != edits and front.get(k - 1, -1) < front.get(k + 1, -1))
        start = front[k + 1] if down else front[k - 1] + 1
        if x > start:
            found.append(Run(box.old + start, box.new + start - k, x - start))
        x, y = (start, start - k - 1) if down else (start - 1, start - k)
    return found  # round 0 has no run: `_trim` took the common head


def _anchors(a: list[int], b: list[int], box: Box) -> list[Run]:
    """Lines that occur once on each side of `box`, in an order that both sides keep."""
    counts, others = Counter(a[box.old : box.old_end]), Counter(b[box.new : box.new_end])
    where = {b[y]: y for y in range(box.new, box.new_end) if others[b[y]] == 1}
    return _rising(
        [
            Run(x, where[a[x]], 1)
            for x in range(box.old, box.old_end)
            if counts[a[x]] == 1 and a[x] in where
        ]
    )


def _rising(anchors: list[Run]) -> list[Run]:
    """The longest part of `anchors` (sorted by `old`) in which `new` rises too."""
    tops: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, anchor in enumerate(anchors):
        length = bisect_left(tops, anchor.new)
        before.append(ends[length - 1] if length else -1)
        tops[length : length + 1] = [anchor.new]
        ends[length : length + 1] = [index]
    chain: list[Run] = []
    index = ends[-1] if ends else -1
    while index >= 0:
        chain.append(anchors[index])
        index = before[index]
    return chain[::-1]


def _between(anchors: list[Run], box: Box) -> list[Box]:
    """What the anchors leave of the box; nothing without anchors, so that the work ends."""
    if not anchors:
        return []
    found = []
    x, y = box.old, box.new
    for anchor in [*anchors, Run(box.old_end, box.new_end, 0)]:
        found.append(Box(x, anchor.old, y, anchor.new))
        x, y = anchor.old + anchor.size, anchor.new + anchor.size
    return found


def _joined(found: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in found:
        last = joined[-1] if joined else None
        if last and last.old + last.size == run.old and last.new + last.size == run.new:
            joined[-1] = Run(last.old, last.new, last.size + run.size)
        else:
            joined.append(run)
    return joined
