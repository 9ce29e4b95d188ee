"""A file of source code as the client sent it: its bytes, line ends and positions."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Literal

from gateway.domain import encoding as encodings
from gateway.domain import indent, lines
from gateway.domain import language as languages
from gateway.domain.encoding import BOM
from gateway.domain.errors import InvalidRequest

PositionEncoding = Literal["utf-8", "utf-16", "utf-32"]
Newline = Literal["lf", "crlf", "mixed"]

_UNITS: dict[PositionEncoding, tuple[str, int]] = {
    "utf-8": ("utf-8", 1),
    "utf-16": ("utf-16-le", 2),
    "utf-32": ("utf-32-le", 4),
}
"""How a position counts characters: a codec, and the bytes of one unit in it."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


class InvalidRange(InvalidRequest):
    """A position or selection that the file does not have."""

    status = 422
    code = "invalid_range"


class BadPath(InvalidRequest):
    """A path that cannot stand in a diff."""

    status = 422
    code = "bad_path"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two characters: line and character from 0, in units of some encoding.

    Lines end at `\\n`, `\\r\\n` or a lone `\\r`, as in the language server protocol. A character
    past the end of its line means the end of the line, as there. A BOM is no character.
    """

    line: int
    character: int


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user selected, end exclusive; empty when `start == end`: the cursor."""

    start: Position
    end: Position


@dataclass(frozen=True, slots=True)
class Span:
    """Whole lines of a file: bytes `start:end`; lines `first_line:end_line`, from 0, `\\n` only.

    It starts after a `\\n` (or the BOM, or at 0) and ends after one or at the end of the file;
    inside of lines only where they are too long to be shown whole (`columns.span`).
    """

    start: int
    end: int
    first_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file. `content` is what lies on disk, BOM and line ends included, in `encoding`."""

    path: str
    language: str
    content: bytes = field(repr=False)
    encoding: str = "utf-8"
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Where the client's lines start, in bytes."""

    def __post_init__(self) -> None:
        ends = (match.end() for match in _LINE_END.finditer(self.content))
        object.__setattr__(self, "_starts", (self._body, *ends))

    @property
    def bom(self) -> bool:
        """Whether the file starts with a UTF-8 byte order mark."""
        return self.encoding == "utf-8" and self.content.startswith(BOM)

    @property
    def sha256(self) -> str:
        """The hash of the bytes on disk, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def newline(self) -> Newline:
        """`mixed` where both ends occur; `lf` for a file without any."""
        both = self.content.count(b"\r\n"), self.content.count(b"\n")
        return "lf" if not both[0] else "crlf" if both[0] == both[1] else "mixed"

    @property
    def eol(self) -> str:
        """The end that most lines have."""
        return "\r\n" if 2 * self.content.count(b"\r\n") > self.content.count(b"\n") else "\n"

    @property
    def final_newline(self) -> bool:
        """Whether the last line has its end; an empty file has none."""
        return self.content.endswith(b"\n")

    @property
    def indent(self) -> str:
        """One step of indentation: a tab, some spaces, or `""` when nothing is indented."""
        return indent.unit(lines.split(self.text(self.whole)))

    @property
    def whole(self) -> Span:
        """All lines, without the BOM."""
        return self._lines(self._body, len(self.content))

    @property
    def _body(self) -> int:
        return len(BOM) if self.bom else 0

    def span(self, selection: Selection, units: PositionEncoding = "utf-16") -> Span:
        """The selection grown to whole lines; a cursor is its line.

        A selection that ends before the first character of a line does not include that line.
        Raises `InvalidRange` where it ends before it starts, leaves the file or cuts a character.
        """
        if selection.end < selection.start:
            raise InvalidRange(
                f"The selection ends ({_place(selection.end)}) before it starts "
                f"({_place(selection.start)}); send the earlier position as start.",
                param="selection",
            )
        start = self.offset(selection.start, units, param="selection.start")
        end = self.offset(selection.end, units, param="selection.end")
        first = max(self.content.rfind(b"\n", 0, start) + 1, self._body)
        if start == end or self.content[end - 1 : end] != b"\n":
            found = self.content.find(b"\n", end)
            end = found + 1 if found >= 0 else len(self.content)
        return self._lines(first, end)

    def lines(self, first: int, end: int) -> Span:
        """The lines `first:end`, from 0, as `\n` ends them; what is beyond the file is left out."""
        ends = [self._body, *(m.end() for m in re.finditer(rb"\n", self.content))]
        if ends[-1] < len(self.content):
            ends.append(len(self.content))
        return self._lines(ends[min(first, len(ends) - 1)], ends[min(end, len(ends) - 1)])

    def _lines(self, start: int, end: int) -> Span:
        first = self.content.count(b"\n", 0, start)
        count = self.content.count(b"\n", start, end)
        cut = end > start and self.content[end - 1 : end] != b"\n"
        return Span(start, end, first, first + count + cut)

    def offset(
        self, position: Position, units: PositionEncoding = "utf-16", *, param: str = "position"
    ) -> int:
        """The byte at `position`; raises `InvalidRange` outside the file or inside a character."""
        count = len(self._starts)
        if position.line == count and position.character == 0:
            return len(self.content)  # what editors send for "to the end of the file"
        if not 0 <= position.line < count or position.character < 0:
            raise InvalidRange(
                f"{_place(position)} is outside {self.path}, which has {count} lines "
                f"(0 to {count - 1}; positions count from 0). Is the content the version in which "
                "the selection was made?",
                param=param,
            )
        start = self._starts[position.line]
        codec, width = _UNITS[units]
        line = self._line(position.line).encode(codec)
        try:
            ahead = line[: position.character * width].decode(codec)
        except UnicodeDecodeError:
            raise InvalidRange(
                f"{_place(position)} of {self.path} lies inside a character when counted in {units}"
                "; send position_encoding: utf-8, utf-16 (the default) or utf-32.",
                param=param,
            ) from None
        return start + len(ahead.encode(self.encoding))

    def position(self, offset: int, units: PositionEncoding = "utf-16") -> Position:
        """The position of the byte `offset`, which must lie between two characters."""
        line = max(bisect_right(self._starts, offset) - 1, 0)
        ahead = self.content[self._starts[line] : offset].decode(self.encoding).rstrip("\r\n")
        codec, width = _UNITS[units]
        return Position(line, len(ahead.encode(codec)) // width)

    def selection(self, span: Span, units: PositionEncoding = "utf-16") -> Selection:
        """`span` as the client counts it."""
        return Selection(self.position(span.start, units), self.position(span.end, units))

    def _line(self, number: int) -> str:
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self.content)
        return self.content[self._starts[number] : end].decode(self.encoding).rstrip("\r\n")

    def text(self, span: Span) -> str:
        """The text of `span`, line ends as they are."""
        return self.content[span.start : span.end].decode(self.encoding)

    def before(self, span: Span) -> str:
        """The text above `span`, without the BOM."""
        return self.content[self._body : span.start].decode(self.encoding)

    def after(self, span: Span) -> str:
        """The text below `span`."""
        return self.content[span.end :].decode(self.encoding)

    def replace(self, span: Span, text: str) -> bytes:
        """The bytes of the file with `text` in the place of `span`; all other bytes stay.

        Raises `BadEncoding` when `text` has a character that the file's encoding lacks.
        """
        new = encodings.encode(text, self.encoding, path=self.path)
        return self.content[: span.start] + new + self.content[span.end :]


def read(
    path: str,
    content: str | bytes,
    *,
    encoding: str | None = None,
    language: str | None = None,
) -> SourceFile:
    """A file as a client sends it: `content` as text, or the bytes on disk.

    `encoding` (UTF-8 by default) is that of the file on disk: text is encoded in it, so that diffs
    and hashes are those of the file. Nothing is guessed: what is not text in the encoding, and what
    does not come back byte for byte, raises `BadEncoding`; a path no diff can carry, `BadPath`.
    """
    path = checked_path(path)
    codec = encodings.codec(encoding)
    raw = encodings.encode(content, codec, path=path) if isinstance(content, str) else content
    encodings.check(raw, codec, path=path)
    head = raw[:200].removeprefix(BOM).split(b"\n")[0].decode(codec, "replace")
    detected = languages.detect(path, client=language, first_line=head.rstrip("\r"))
    return SourceFile(path, detected, raw, codec)


def path_parts(path: str) -> list[str]:
    """The parts of a path, without those that say nothing."""
    return [part for part in path.split("/") if part not in ("", ".")]


def checked_path(path: str, *, param: str = "file.path") -> str:
    """`path` relative and without `.` parts, as a diff wants it. BadPath (422)."""
    parts = path_parts(path)
    climbs = ".." in path.replace("\\", "/").split("/")
    if not parts or climbs or "\0" in path:
        raise BadPath(
            f"The path {path!r} is not one of a file in the project; send it relative to the "
            "project's root, for example src/main.py.",
            param=param,
        )
    try:
        path.encode()
    except UnicodeEncodeError:
        raise BadPath(
            f"The path {path!a} is not Unicode text; send it in UTF-8.", param=param
        ) from None
    return "/".join(parts)


def _place(position: Position) -> str:
    return f"line {position.line}, character {position.character}"
