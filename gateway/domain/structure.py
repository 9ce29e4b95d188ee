"""The structure of a source file: definitions and imports, by lines; what an outline shows."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Run = tuple[int, int]
"""Lines from 0, end exclusive."""

Origin = Literal["syntax", "layout", "none"]

_WORD = re.compile(r"[^\W\d]\w+")
_LEAST_ELIDED = 2
"""Lines of a body below which leaving it out saves nothing: a marker takes its place."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A function, class, section …: lines `first:end` with the comments and decorators above it.

    `body` are the lines that an outline leaves out, or of a `scope` (a class, a module) descends
    into.
    """

    name: str
    first: int
    end: int
    body: Run
    scope: bool = False

    def is_in(self, outer: Definition) -> bool:
        """Whether `outer` holds all of its lines; it does hold itself."""
        return outer.first <= self.first and self.end <= outer.end


@dataclass(frozen=True, slots=True)
class Structure:
    """What a file holds. `definitions` by their first line, outer before inner.

    `origin` is where it comes from: a parser, the layout of the lines, or nowhere; `remark` says
    why it is not from a parser, or that the parser found errors.
    """

    definitions: tuple[Definition, ...] = ()
    imports: tuple[Run, ...] = ()
    origin: Origin = "none"
    remark: str = ""

    def around(self, first: int, end: int) -> tuple[Definition, ...]:
        """The definitions that hold all of the lines `first:end`, outermost first."""
        return tuple(one for one in self.definitions if one.first <= first and end <= one.end)

    def named(self, names: Collection[str]) -> tuple[Definition, ...]:
        """The definitions of one of these names."""
        return tuple(one for one in self.definitions if one.name in names)

    def moved(self, lines: int) -> Structure:
        """The same for a file with `lines` more lines in front."""
        definitions = tuple(
            replace(
                one,
                first=one.first + lines,
                end=one.end + lines,
                body=(one.body[0] + lines, one.body[1] + lines),
            )
            for one in self.definitions
        )
        imports = tuple((first + lines, end + lines) for first, end in self.imports)
        return replace(self, definitions=definitions, imports=imports)

    def outline(self, count: int, whole: Collection[Definition] = ()) -> tuple[Run, ...]:
        """The lines that an outline of a file of `count` lines shows: all but the bodies of
        functions, those of `whole` included."""
        hidden: list[Run] = []
        kept = {one.body for one in whole}
        inside = [one for one in self.definitions if one.scope is False]
        for one in inside:
            first, end = one.body
            if one.body in kept or end - first < _LEAST_ELIDED:
                continue
            if hidden and first < hidden[-1][1]:
                continue  # inside one that is hidden
            if any(first <= other.first and other.end <= end for other in whole):
                continue
            hidden.append((first, end))
        return without([(0, count)], hidden)


NO_STRUCTURE = Structure()
"""That of a text of which nothing is known."""


def words(text: str) -> list[str]:
    """The words of `text` that may be names, each as often as it occurs: two letters or more."""
    return _WORD.findall(text)


def identifiers(text: str) -> frozenset[str]:
    """The same, each once."""
    return frozenset(words(text))


def joined(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The same lines as `runs`, in order, none twice and none that touch."""
    found: list[Run] = []
    for first, end in sorted(run for run in runs if run[0] < run[1]):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((first, end))
    return tuple(found)


def without(runs: Iterable[Run], taken: Iterable[Run]) -> tuple[Run, ...]:
    """The lines of `runs` that are not in `taken`."""
    holes = joined(taken)
    ends = [end for _, end in holes]
    found: list[Run] = []
    for first, end in joined(runs):
        at = bisect_right(ends, first)
        while at < len(holes) and holes[at][0] < end:
            found.append((first, holes[at][0]))
            first = holes[at][1]
            at += 1
        found.append((first, end))
    return joined(found)


def within(runs: Iterable[Run], first: int, end: int) -> tuple[Run, ...]:
    """The lines of `runs` between `first` and `end`."""
    return joined((max(one, first), min(other, end)) for one, other in runs)


def size(runs: Iterable[Run]) -> int:
    """How many lines there are in runs that do not overlap."""
    return sum(end - first for first, end in runs)


def marker(count: int) -> str:
    """The line that stands for `count` lines left out."""
    return f"[... {count} lines not shown ...]\n"


def excerpt(rows: Sequence[str], shown: Sequence[Run], first: int = 0) -> str:
    """The lines `shown` of `rows`, with a marker for each gap; `first` is the number of rows[0]."""
    parts: list[str] = []
    at = first
    for start, end in shown:
        if start > at:
            parts.append(marker(start - at))
        parts += rows[start - first : end - first]
        at = end
    if parts and at == first + len(rows):
        return "".join(parts)
    if parts and not parts[-1].endswith("\n"):
        parts.append("\n")
    return "".join([*parts, marker(first + len(rows) - at)])
