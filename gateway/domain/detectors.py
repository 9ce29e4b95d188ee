"""Finds secrets and personal details in texts, whole ones and such as are still coming: Detectors.

Nothing is verified with anybody: what looks like a key is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits, punctuation
from typing import Any

import regex  # type: ignore[import-untyped]

from gateway.domain.detector_kinds import GROUPS, KINDS, Check
from gateway.domain.document import did_you_mean
from gateway.domain.json_view import view
from gateway.domain.watch import Watch, beginning, certain

_SHORT = 512
"""Characters up to which one search for all patterns at once is cheaper than one for each."""
_LEAST = 6
"""Characters of the shortest thing that is found: a@b.co."""
_PER_SECOND = 1_000_000
"""Characters that even the slowest of the patterns is done with in a second."""


_FIRST = (("[a-z]", ascii_lowercase), ("[A-Z]", ascii_uppercase), ("[0-9]", digits))
_SIGNS = punctuation + " \n\u00e9\ud55c"


@dataclass(frozen=True, slots=True)
class Found:
    """A secret in a text: where it stands, its kind, and what it says."""

    start: int
    end: int
    kind: str
    value: str

    def __repr__(self) -> str:
        return f"Found({self.start}, {self.end}, {self.kind!r})"


class Detectors:
    """`names` are kinds or groups of them; `patterns` are further kinds, by name. ValueError says
    what is wrong with them. Finds are in order and apart from each other, one for each line of a
    key over several lines, so that a text keeps its lines whatever takes their place."""

    def __init__(
        self, names: Iterable[str], patterns: Mapping[str, str] | None = None, most: int = 1024
    ) -> None:
        """`most`: characters held back for patterns of which nobody can see the beginning."""
        kinds = _chosen(names)
        self._own = {name: _watch(name, text, most) for name, text in (patterns or {}).items()}
        self._each: list[tuple[str, Any, Any, Check | None]] = [
            (name, regex.compile(text), beginning(text), KINDS[name].check)
            for name in kinds
            for text in KINDS[name].patterns
        ]
        every = _combined([text for name in kinds for text in KINDS[name].patterns])
        self._any = regex.compile(every) if every else None
        self._begin = beginning(every) if every else None

    def find(self, text: str, *, json: bool = False) -> list[Found]:
        """All in a whole text; `json`: it is JSON, and they may stand in it with escapes."""
        return self.watch(text, final=True, json=json)[0]

    def watch(
        self, text: str, start: int = 0, *, final: bool = False, json: bool = False
    ) -> tuple[list[Found], int]:
        """Those from `start` on that nothing can change any more, and the place from which on the
        text may still become one; its end where nothing more comes."""
        said = view(text) if json else None
        if said is None:
            return self._watch(text, start, final)
        found, settled = self._watch(said.text, said.index(start), final)
        starts = said.starts
        placed = [Found(starts[one.start], starts[one.end], one.kind, one.value) for one in found]
        return placed, len(text) if final else max(start, starts[settled])

    def _watch(self, text: str, start: int, final: bool) -> tuple[list[Found], int]:
        spans = _merged(self._spans(text, start))
        settled = len(text)
        if not final:
            settled = min(self._begun(text, start), *self._doubts(text, start))
            sight = certain(tuple((first, last) for first, last, _ in spans), text, settled)
            spans, settled = spans[: len(sight.spans)], sight.settled
        return [one for span in spans for one in _lines(text, *span)], settled

    def _spans(self, text: str, start: int) -> Iterator[tuple[int, int, str]]:
        seconds = 0.2 + len(text) / _PER_SECOND
        for name, watch in self._own.items():
            for first, last in watch.look(text, start, final=True).spans:
                yield first, last, name
        size = len(text) - start
        if self._any is None or size < _LEAST:
            return
        if size <= _SHORT and not self._any.search(text, start, timeout=seconds):
            return
        for name, pattern, _, check in self._each:
            # A candidate that is none may begin before one that is.
            every = {"overlapped": check is not None, "timeout": seconds, "concurrent": True}
            for match in pattern.finditer(text, start, **every):
                first, last = match.span("v" if "v" in pattern.groupindex else 0)
                if check is not None:
                    last = first + check(text[first:last])
                if 0 <= first < last:
                    yield first, last, name

    def _begun(self, text: str, start: int) -> int:
        """Where one of the known kinds may have begun."""
        if self._begin is None:
            return len(text)
        short = len(text) - start <= _SHORT
        begins = [self._begin] if short else [begin for _, _, begin, _ in self._each]
        seconds = 0.2 + len(text) / _PER_SECOND
        found = (each.search(text, start, partial=True, timeout=seconds) for each in begins)
        return min((one.start() for one in found if one), default=len(text))

    def _doubts(self, text: str, start: int) -> Iterator[int]:
        yield len(text)
        for watch in self._own.values():
            yield watch.look(text, start).settled


def _chosen(names: Iterable[str]) -> list[str]:
    chosen: set[str] = set()
    for name in names:
        if name in GROUPS:
            chosen |= {kind for kind in KINDS if KINDS[kind].group == name}
        elif name in KINDS:
            chosen.add(name)
        else:
            hint = did_you_mean(name, (*GROUPS, *KINDS))
            raise ValueError(f"no detector {name!r}: {hint}")
    return [kind for kind in KINDS if kind in chosen]


def _combined(patterns: list[str]) -> str:
    """One pattern for all. At each place it only tries those that can begin with such a character:
    that is twice as fast as to try each."""
    ways: list[str] = []
    left = set(patterns)
    for kind, characters in _FIRST:
        able = [text for text in patterns if _begins(text, characters)]
        left -= set(able)
        if able:
            ways.append(f"(?={kind})(?:{'|'.join(f'(?:{text})' for text in able)})")
    other = [text for text in patterns if text in left or _begins(text, _SIGNS)]
    return "|".join((*ways, *(f"(?:{text})" for text in other)))


def _begins(pattern: str, characters: str) -> bool:
    begin = beginning(pattern)
    return any(begin.match(one, partial=True) for one in characters)


def _watch(name: str, pattern: str, most: int) -> Watch:
    try:
        return Watch(pattern, most)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _merged(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """In order; those that overlap become one, of the kind of the first."""
    merged: list[tuple[int, int, str]] = []
    for first, last, kind in sorted(spans):
        if merged and first < merged[-1][1]:
            begun, ended, named = merged[-1]
            merged[-1] = (begun, max(ended, last), named)
        else:
            merged.append((first, last, kind))
    return merged


def _lines(text: str, start: int, end: int, kind: str) -> Iterator[Found]:
    value = text[start:end]
    for line in re.finditer(r"[^\r\n]+", value):
        yield Found(start + line.start(), start + line.end(), kind, line[0])
