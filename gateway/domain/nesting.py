"""JSON that is no bigger than it looks: how deep it nests, and how many values it may hold."""

from __future__ import annotations

from typing import Any

_CONTAINERS = (dict, list)
_PIECE = 65_536


def deeper_than(value: object, depth: int) -> bool:
    """Whether objects and lists are inside each other more than `depth` deep; `{}` is 1 deep."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(depth):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
    return bool(level)


def may_be_deeper_than(raw: bytes, depth: int) -> bool:
    """False where `raw`, not read yet, cannot nest more than `depth` deep: most bodies."""
    return _has_more(raw, b"{", depth // 2) or _has_more(raw, b"[", depth - depth // 2)


def may_hold_more_than(raw: bytes, values: int) -> bool:
    """Whether `raw`, not read yet, has as many commas as `values`. An empty list costs three bytes
    to send and sixty to keep. Commas in texts count as well: no window holds so many."""
    return len(raw) > values and _has_more(raw, b",", values - 1)


def _has_more(raw: bytes, mark: bytes, most: int) -> bool:
    """As `raw.count(mark) > most`, which takes a second where nearly all of 32 MB are marks."""
    found = 0
    for at in range(0, len(raw), _PIECE):
        found += raw.count(mark, at, at + _PIECE)
        if found > most:
            return True
    return False
