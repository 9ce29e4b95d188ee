"""Answers as SEARCH/REPLACE blocks: read, each matched to one place for certain, all or none made.

<<<<<<< SEARCH
lines as they are
=======
lines as they are to be
>>>>>>> REPLACE
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain import indent

Rows = list[str]
"""Lines without their ends."""

_OPEN = re.compile(r"<{5,9} ?SEARCH\s*\Z")
_MIDDLE = re.compile(r"={5,9}\s*\Z")
_CLOSE = re.compile(r">{5,9} ?REPLACE\s*\Z")
_MOST_NAMED = 8
"""Line numbers that a complaint names at most."""


class Unmatched(Exception):
    """Blocks that cannot be made, for a reason that a model can mend: the text says which line."""


@dataclass(frozen=True, slots=True)
class Block:
    """One edit: the lines to look for, and those to put in their place."""

    search: tuple[str, ...]
    replace: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """All lines after all edits; and what had to be looked over to find their places."""

    rows: Rows
    adjusted: tuple[str, ...] = ()


def read(text: str) -> tuple[list[Block], str]:
    """The blocks of an answer, and the prose around them. Unmatched where a block is not whole."""
    blocks: list[Block] = []
    notes: Rows = []
    rows = [row.removesuffix("\r") for row in text.split("\n")]
    at = 0
    while at < len(rows):
        if not _OPEN.match(rows[at]):
            if _MIDDLE.match(rows[at]) or _CLOSE.match(rows[at]):
                raise Unmatched(f"{rows[at]!r} stands outside a block")
            notes.append(rows[at])
            at += 1
            continue
        middle = _one(rows, at + 1, _MIDDLE, len(blocks) + 1)
        close = _one(rows, middle + 1, _CLOSE, len(blocks) + 1)
        blocks.append(Block(tuple(rows[at + 1 : middle]), tuple(rows[middle + 1 : close])))
        at = close + 1
    prose = (row for row in notes if not re.match(r"\s*(?:[`~]{3,}\w*|</?[\w-]+>)\s*\Z", row))
    return blocks, "\n".join(prose).strip()


def _one(rows: Rows, start: int, mark: re.Pattern[str], number: int) -> int:
    """The next marker, which must be `mark`: a second `=======` could be either."""
    for at in range(start, len(rows)):
        if mark.match(rows[at]):
            return at
        if any(other.match(rows[at]) for other in (_OPEN, _MIDDLE, _CLOSE)):
            raise Unmatched(f"block {number} has {rows[at]!r} where it was not expected")
    raise Unmatched(f"block {number} does not end")


def make(blocks: list[Block], old: Rows, first_line: int) -> Made:
    """`old` with all blocks made, each matched against `old` itself; `first_line` is its number.

    A block must match one place: exactly; or but for spaces at line ends; or with one indentation
    for all its lines. Unmatched otherwise, and where two blocks meet.
    """
    places: list[tuple[int, int, Rows]] = []
    adjusted: list[str] = []
    for number, block in enumerate(blocks, 1):
        at, shift, how = _place(block, number, old, first_line)
        places.append((at, at + len(block.search), [_shifted(row, shift) for row in block.replace]))
        adjusted += how
    places.sort(key=lambda place: place[:2])
    rows: Rows = []
    done = 0
    for start, end, new in places:
        if start < done:
            raise Unmatched(f"two blocks change line {first_line + start}")
        rows += [*old[done:start], *new]
        done = end
    return Made(rows + old[done:], tuple(dict.fromkeys(adjusted)))


def _place(
    block: Block, number: int, old: Rows, first_line: int
) -> tuple[int, tuple[str, str], tuple[str, ...]]:
    """(index in `old`, (indentation to take off, to put on), what was looked over)."""
    search = list(block.search)
    if not any(row.strip() for row in search):
        if not any(row.strip() for row in old):
            return 0, ("", ""), ()
        raise Unmatched(f"block {number} has an empty SEARCH: repeat the lines next to the place")
    found = _where(search, old)
    if found:
        return _only(found, number, first_line), ("", ""), ()
    found = _where([row.rstrip() for row in search], [row.rstrip() for row in old])
    if found:
        return _only(found, number, first_line), ("", ""), ("trailing_spaces",)
    return _shift_place(search, number, old, first_line)


def _shift_place(
    search: Rows, number: int, old: Rows, first_line: int
) -> tuple[int, tuple[str, str], tuple[str, ...]]:
    base = indent.common(search)
    bare = _bare(search)
    places = _where([row.strip() for row in search], [row.strip() for row in old])
    size = len(search)
    fits = [at for at in places if _bare(old[at : at + size]) == bare]
    if not fits:
        raise Unmatched(f"block {number} matches no lines{_similar(search, old, first_line)}")
    at = _only(fits, number, first_line)
    return at, (base, indent.common(old[at : at + size])), ("indent_shift",)


def _bare(rows: Rows) -> Rows:
    """The rows less the indentation that all have, and spaces at their ends."""
    base = len(indent.common(rows))
    return [row[base:].rstrip() if row.strip() else "" for row in rows]


def _where(search: Rows, old: Rows) -> list[int]:
    size = len(search)
    head = search[0]
    return [
        at for at in range(len(old) - size + 1) if old[at] == head and old[at : at + size] == search
    ]


def _only(found: list[int], number: int, first_line: int) -> int:
    if len(found) == 1:
        return found[0]
    numbers = _numbers(found, first_line)
    raise Unmatched(
        f"block {number} matches {len(found)} places, at lines {numbers}: "
        "put more of the lines around it into SEARCH"
    )


def _similar(search: Rows, old: Rows, first_line: int) -> str:
    """Where the lines stand that the block has in common with the text."""
    wanted = {row.strip() for row in search if re.search(r"\w", row)}
    found = [at for at, row in enumerate(old) if row.strip() in wanted]
    if not found:
        return ""
    return f"; some of its lines stand at {_numbers(found, first_line)}"


def _numbers(found: list[int], first_line: int) -> str:
    named = [str(first_line + at) for at in found[:_MOST_NAMED]]
    return ", ".join(named) + (", …" if len(found) > _MOST_NAMED else "")


def _shifted(row: str, shift: tuple[str, str]) -> str:
    off, on = shift
    return on + row.removeprefix(off) if row.strip() and row.startswith(off) else row
