"""Markdown fences in an answer: which blocks close for certain; whether one is around it all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain.language import PROSE

_FENCE = re.compile(r"^ {0,3}(?P<run>`{3,}|~{3,})(?P<info>[^`\r\n]*)\r?$", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A closed fence: the text in it, its info string, and where it stands, fences included."""

    text: str
    info: str
    start: int
    end: int

    def fits(self, language: str) -> bool:
        """Whether it may be the whole text: in a document, a block of code is only a part of it."""
        return language not in PROSE or self.info.lower() in ("md", "markdown", "text", language)


def any_in(text: str) -> bool:
    """Whether a line of `text` is a fence."""
    return _FENCE.search(text) is not None


def starts(text: str) -> bool:
    """Whether the first line of `text` that is not blank is a fence."""
    mark = _FENCE.search(text)
    return mark is not None and not text[: mark.start()].strip()


def starts_block(text: str) -> bool:
    """Whether a Markdown `text` starts with a block of code, rather than is in a fence as a whole.

    A fence around everything is taken for a block of code if it names the language of its code.
    """
    block = next(iter(blocks(text)), None)
    if block is None or text[: block.start].strip() or block.fits("markdown"):
        return False
    return bool(block.info or text[block.end :].strip())


def blocks(text: str) -> list[Block]:
    """The closed fences of `text` that hold no other fence as long as their own.

    A longer one inside would mean that we cannot tell which line closes the block: none is better
    than a file cut at its own backticks.
    """
    found = []
    marks = list(_FENCE.finditer(text))
    index = 0
    while index < len(marks):
        close = _closing(marks, index)
        if close is None:
            break
        inner = marks[index + 1 : close]
        if not any(len(mark["run"]) >= len(marks[index]["run"]) for mark in inner):
            found.append(_block(text, marks[index], marks[close]))
        index = close + 1
    return found


def wrapped(text: str) -> Block | None:
    """The fence around all of `text`; None when there is none.

    Fences inside that are no shorter must open and close in pairs.
    """
    marks = list(_FENCE.finditer(text))
    if len(marks) < 2 or text[: marks[0].start()].strip() or text[marks[-1].end() :].strip():
        return None
    first, last = marks[0], marks[-1]
    if last["info"].strip() or not last["run"].startswith(first["run"]):
        return None
    inside = [mark for mark in marks[1:-1] if mark["run"].startswith(first["run"])]
    return _block(text, first, last) if _paired(inside) else None


def _closing(marks: list[re.Match[str]], index: int) -> int | None:
    """The fence that closes `marks[index]` by the rules of Markdown."""
    run = marks[index]["run"]
    return next(
        (
            later
            for later in range(index + 1, len(marks))
            if not marks[later]["info"].strip() and marks[later]["run"].startswith(run)
        ),
        None,
    )


def _paired(marks: list[re.Match[str]]) -> bool:
    """Whether fences open with a language and close without, in turn: not two blocks in a row."""
    return len(marks) % 2 == 0 and all(
        bool(mark["info"].strip()) == (index % 2 == 0) for index, mark in enumerate(marks)
    )


def _block(text: str, first: re.Match[str], last: re.Match[str]) -> Block:
    inside = text[first.end() : last.start()].removeprefix("\n")
    return Block(inside, first["info"].strip(), first.start(), last.end())
