"""JSON text read as what it says, piece by piece: arguments of tools, answers held to a schema."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass

# Two halves of a surrogate pair, one character, or any other escape.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^u])", re.S
)
# An escape that is not over: more of it may come.
_OPEN = re.compile(
    r"\\(?:u[0-9a-fA-F]{0,3}|u[dD][89abAB][0-9a-fA-F]{2}(?:\\u?[0-9a-fA-F]{0,3})?)?\Z"
)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class View:
    """`text` is what the JSON says, escapes undone; its character i stands from `starts[i]` on,
    and `starts` has one place more: where the text ends, before an escape that is not complete."""

    text: str
    starts: tuple[int, ...]

    def index(self, place: int) -> int:
        """The first character that does not stand before `place`."""
        return bisect_left(self.starts, place, hi=len(self.text))


def view(raw: str) -> View | None:
    """What `raw`, a piece of JSON text, says; None where it holds no escape: it says itself."""
    if "\\" not in raw:
        return None
    tail = _OPEN.search(raw)
    end = tail.start() if tail and not _escaped(raw, tail.start()) else len(raw)
    parts: list[str] = []
    starts: list[int] = []
    at = 0
    for escape in _ESCAPE.finditer(raw, 0, end):
        parts += [raw[at : escape.start()], _said(escape[0])]
        starts += [*range(at, escape.start()), escape.start()]
        at = escape.end()
    parts.append(raw[at:end])
    starts += [*range(at, end), end]
    return View("".join(parts), tuple(starts))


def quoted(text: str) -> str:
    """`text` as it stands inside a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _escaped(raw: str, place: int) -> bool:
    """Whether the backslash at `place` is itself the second half of an escape."""
    before = raw[:place]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _said(escape: str) -> str:
    if escape[1] != "u":
        return _SHORT.get(escape[1], escape[1])
    units = [int(escape[at + 2 : at + 6], 16) for at in range(0, len(escape), 6)]
    if len(units) == 2:
        return chr(0x10000 + ((units[0] - 0xD800) << 10) + (units[1] - 0xDC00))
    return chr(units[0])
