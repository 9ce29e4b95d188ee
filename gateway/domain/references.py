"""The places that an explanation names, as far as they are there: never an invented one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from gateway.domain import lines
from gateway.domain.material import Material, Survey
from gateway.domain.structure import Definition, Run, Structure

Named = tuple[str, Mapping[str, Sequence[Definition]]]
"""A file's path, and its definitions by name."""

MOST = 50
"""References of one answer."""

_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]{1,200}?)\1(?!`)")
_FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.M | re.S)
_NAME = re.compile(r"([^\W\d]\w*(?:(?:\.|::|#|->)[^\W\d]\w*)*)\s*(?:\(.*\))?")
_PARTS = re.compile(r"\.|::|#|->")
_LINE = re.compile(
    r"(?<![\w./\\@+-])([\w./\\@+-]*[\w+-]\.\w+):(\d{1,7})(?:[-\u2013](\d{1,7}))?(?![\w.]*/)"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a file that the client sent: lines from 0, end exclusive; `name` as it was said,
    empty where only the line was."""

    path: str
    lines: Run
    name: str = ""


def find(answer: str, material: Material, survey: Survey) -> tuple[Reference, ...]:
    """The definitions and lines that `answer` names, in its order, each once.

    A definition: its name in backticks, qualified or not, where only one is meant. A line: a path
    that was sent, or the end of only one, with a number that the file has.
    """
    known = _Known(material, survey)
    prose = _FENCED.sub(lambda found: "\n" * found[0].count("\n"), answer)
    said: list[tuple[int, Reference]] = []
    for found in _CODE.finditer(prose):
        if one := known.definition(found[2].strip()):
            said.append((found.start(), one))
    for found in _LINE.finditer(prose):
        if one := known.line(found[1], int(found[2]), int(found[3] or found[2])):
            said.append((found.start(), one))
    places: dict[tuple[str, Run], Reference] = {}
    for _, one in sorted(said, key=lambda pair: pair[0]):
        places.setdefault((one.path, one.lines), one)
    return tuple(places.values())[:MOST]


class _Known:
    """What the client sent, by path: the file in question first."""

    def __init__(self, material: Material, survey: Survey) -> None:
        self._structures: list[Named] = []
        self._rows: dict[str, int] = {}
        if material.has_file:
            self._structures.append(_by_name(material.file.path, survey.file))
            self._rows[material.file.path] = len(material.rows)
        for index, other in enumerate(material.related):
            if other.refused or other.reason in ("edit", "declaration"):
                continue
            self._structures.append(_by_name(other.path, survey.of(index)))
            self._rows.setdefault(other.path, len(lines.split(other.content)))
        self._names = frozenset(name for _, by_name in self._structures for name in by_name)
        self._meant: dict[str, Reference | None] = {}

    def definition(self, said: str) -> Reference | None:
        """The one definition that is meant by a name; the file's own before those of others."""
        match = _NAME.fullmatch(said)
        if match is None:
            return None
        name = match[1]
        if name not in self._meant:
            self._meant[name] = self._looked_up(name)
        return self._meant[name]

    def _looked_up(self, name: str) -> Reference | None:
        parts = _PARTS.split(name)
        own, others = self._structures[:1], self._structures[1:]
        for group in (own, others):
            found = list(islice(_named(group, parts, self._names), 2))
            if len(found) == 1:
                path, one = found[0]
                return Reference(path, (one.first, one.end), name)
            if found:
                return None
        return None

    def line(self, said: str, first: int, last: int) -> Reference | None:
        """Lines of a file, both counted from 1."""
        path = self._path(said.replace("\\", "/").removeprefix("./"))
        if path is None or not 1 <= first <= last <= self._rows[path]:
            return None
        return Reference(path, (first - 1, last))

    def _path(self, said: str) -> str | None:
        if said in self._rows:
            return said
        found = [path for path in self._rows if path.endswith(f"/{said}")]
        return found[0] if len(found) == 1 else None


def _named(
    files: Sequence[Named], parts: Sequence[str], names: Collection[str]
) -> Iterator[tuple[str, Definition]]:
    """The definitions of the last of `parts` inside those of the ones before it, where these are
    among the `names` of definitions at all: `self` and a module's name are not."""
    outer = [part for part in parts[:-1] if part in names]
    for path, by_name in files:
        for one in by_name.get(parts[-1], ()):
            if all(any(map(one.is_in, by_name.get(part, ()))) for part in outer):
                yield path, one


def _by_name(path: str, structure: Structure) -> Named:
    found: dict[str, list[Definition]] = {}
    for one in structure.definitions:
        if one.name:
            found.setdefault(one.name, []).append(one)
    return path, found
