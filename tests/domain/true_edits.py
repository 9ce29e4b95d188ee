"""Real files and what they could become: seeded edits of the kind that people and models make."""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.domain import source
from gateway.domain.source import Position, Selection, SourceFile, Span

STDLIB = Path(sysconfig.get_paths()["stdlib"])
_FOLDERS = (".", "json", "email", "http", "logging", "unittest", "urllib", "xml/dom", "wsgiref")
FILES = [
    file.relative_to(STDLIB).as_posix()
    for folder in _FOLDERS
    for file in sorted((STDLIB / folder).glob("*.py"))
    if 4_000 < file.stat().st_size < 60_000
]


@dataclass(frozen=True)
class TrueEdit:
    """A file, the whole lines of it that were selected, and the text that takes their place."""

    file: SourceFile
    span: Span
    new: str

    @property
    def after(self) -> bytes:
        return self.file.replace(self.span, self.new)

    @property
    def has_news(self) -> bool:
        """Whether it is more than another indentation, and blank lines."""
        return self.new.split() != self.file.text(self.span).split()


Rows = list[str]
Change = Callable[[random.Random, Rows], Rows]


def lead(row: str) -> str:
    return row[: len(row) - len(row.lstrip())]


def filled(rows: Rows) -> list[int]:
    return [at for at, row in enumerate(rows) if row.strip()]


def renamed(draw: random.Random, rows: Rows) -> Rows:
    names = sorted(set(re.findall(r"\b[a-z_]{4,}\b", "".join(rows)))) or ["x"]
    name = draw.choice(names)
    return [re.sub(rf"\b{name}\b", f"{name}_2", row) for row in rows]


def guarded(draw: random.Random, rows: Rows) -> Rows:
    at = draw.choice(filled(rows))
    pad = lead(rows[at])
    return [*rows[:at], f"{pad}if not ready:\n", f"{pad}    return None\n", *rows[at:]]


def shortened(draw: random.Random, rows: Rows) -> Rows:
    at = draw.choice(filled(rows)[1:-1] or [0])
    return rows[:at] + rows[at + draw.randrange(1, 4) :] or rows[:1]


def indented(draw: random.Random, rows: Rows) -> Rows:
    at = draw.choice(filled(rows)[1:] or [0])
    inner = [f"    {row}" if row.strip() else row for row in rows[at : at + 3]]
    return [*rows[:at], f"{lead(rows[at])}if True:\n", *inner, *rows[at + 3 :]]


def commented(draw: random.Random, rows: Rows) -> Rows:
    at = draw.choice(filled(rows))
    return [*rows[:at], f"{lead(rows[at])}# 이유: \u201csee\u201d &lt;x&gt; 😀\n", *rows[at:]]


def swapped(draw: random.Random, rows: Rows) -> Rows:
    at = draw.choice(filled(rows)[:-1] or [0])
    return [*rows[:at], *rows[at : at + 2][::-1], *rows[at + 2 :]]


CHANGES: list[Change] = [renamed, guarded, shortened, indented, commented, swapped]


def with_ends(draw: random.Random, text: str) -> str:
    """The file as it may lie on a disk: LF, CRLF, both, a BOM, no last line end."""
    kind = draw.randrange(6)
    if kind in (1, 5):
        text = text.replace("\n", "\r\n")
    if kind == 2:
        text = re.sub("\n", lambda _: draw.choice(["\n", "\r\n"]), text)
    if kind in (3, 5):
        text = "\ufeff" + text
    return text.rstrip("\r\n") if kind in (4, 5) else text


def true_edits(seed: int, count: int) -> Iterator[TrueEdit]:
    """`count` of them, always the same for one seed and one Python."""
    draw = random.Random(seed)
    for number in range(count):
        name = FILES[number % len(FILES)]
        text = (STDLIB / name).read_text("utf-8")
        file = source.read(f"{number}/{name}", with_ends(draw, text).encode(), encoding="utf-8")
        total = file.content.count(b"\n")
        first = draw.randrange(total - 30)
        end = first + draw.randrange(3, 30)
        span = file.span(Selection(Position(first, 0), Position(end, 0)))
        old = file.text(span)
        rows = [row + "\n" for row in old.replace("\r\n", "\n").removesuffix("\n").split("\n")]
        if len(filled(rows)) < 3:
            continue
        new = draw.choice(CHANGES)(draw, rows)
        if draw.random() < 0.3 and len(filled(new)) > 2:
            new = draw.choice(CHANGES)(draw, new)
        yield TrueEdit(file, span, fitted("".join(new), old, draw))


def fitted(new: str, old: str, draw: random.Random) -> str:
    """`new` with the line ends of `old`, where those are of one kind."""
    if "\r\n" in old and old.count("\r\n") == old.count("\n"):
        new = new.replace("\n", "\r\n")
    if not old.endswith("\n"):
        new = new.removesuffix("\n").removesuffix("\r")
    return new
