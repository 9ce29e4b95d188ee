"""A file that goes with a question: its name in the project, its text, its encoding on disk."""

from __future__ import annotations

import codecs
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from gateway.client.errors import UnusableFile
from gateway.client.places import Position, Range

MOST_BYTES = 64 << 20
"""Twice what a gateway takes unless its operator says otherwise; a device has no end."""


@dataclass(frozen=True, slots=True)
class File:
    """`text` is all of it, line ends and a BOM included; `path` is relative to the project's root,
    with slashes; `encoding` is that of the file on disk. UnusableFile when `text` does not fit it.
    """

    path: str
    text: str = field(repr=False)
    encoding: str = "utf-8"
    language: str | None = None
    """Such as `python`; the gateway goes by the name of the file when this is None."""
    content: bytes = field(init=False, repr=False, compare=False)
    """The bytes on disk."""

    def __post_init__(self) -> None:
        try:
            codec = codecs.lookup(self.encoding).name
            content = self.text.encode("utf-8" if codec == "utf-8-sig" else codec)
        except (UnicodeEncodeError, LookupError) as error:
            raise UnusableFile(
                f"{self.path} cannot be written as {self.encoding}: {error}"
            ) from None
        object.__setattr__(self, "encoding", "utf-8" if codec == "utf-8-sig" else codec)
        object.__setattr__(self, "content", content)

    @classmethod
    def read(
        cls, path: str | os.PathLike[str], *, root: Path | None = None, encoding: str = "utf-8"
    ) -> File:
        """The file at `path`, named as seen from `root` (this folder, unless given; a file that
        lies elsewhere goes by its name alone). OSError, and UnusableFile when it is no text.
        """
        place = Path(path)
        name = named(place, root)
        with place.open("rb") as opened:
            raw = opened.read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise UnusableFile(
                f"{place} has more than {MOST_BYTES >> 20} MiB; no gateway takes that"
            )
        encoding = "utf-8" if encoding.lower() == "utf-8-sig" else encoding  # its BOM is kept
        if b"\0" in raw and encoding == "utf-8":
            raise UnusableFile(f"{place} is no text: it holds NUL bytes; only text can be sent")
        try:
            file = cls(name, raw.decode(encoding), encoding)
        except LookupError:
            raise UnusableFile(f"{encoding!r} is no encoding that Python knows") from None
        except UnicodeDecodeError as error:
            raise UnusableFile(
                f"{place} is no {encoding} text (byte {error.start} is 0x{raw[error.start]:02x}); "
                "name its encoding, cp949 or latin-1 say, or send another file"
            ) from None
        if file.content != raw:
            raise UnusableFile(f"{place} does not come back byte for byte from {encoding}")
        return file

    @property
    def sha256(self) -> str:
        """The hash of the bytes on disk, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def line_count(self) -> int:
        """How many lines it has, as `git` and `sed` count them."""
        return self.text.count("\n") + bool(self.text and not self.text.endswith("\n"))

    def lines(self, first: int, last: int) -> Range:
        """The lines `first` to `last`, from 1 and inclusive, as positions in characters.

        UnusableFile when the file does not have them.
        """
        # Here, not above: a question about a whole file needs none of it.
        from gateway.domain import source

        if not 1 <= first <= last <= self.line_count:
            count = self.line_count
            has = "is empty" if not count else "has 1 line" if count == 1 else f"has {count} lines"
            raise UnusableFile(
                f"lines {first}-{last} are not in {self.path}, which {has}; "
                "give the first and the last line, counted from 1"
            )
        read = source.SourceFile(self.path, "", self.content, self.encoding)
        start, end = (
            read.position(byte, "utf-32")
            for span in [read.lines(first - 1, last)]
            for byte in (span.start, span.end)
        )
        return Range(Position(start.line, start.character), Position(end.line, end.character))


@dataclass(frozen=True, slots=True)
class Rule:
    """A file of rules, such as AGENTS.md: it holds for its folder and those below."""

    path: str
    content: str = field(repr=False)


def named(path: Path, root: Path | None = None) -> str:
    """What `path` is called in the project, with slashes; its last part where it is outside. In a
    `root` that is given folders go by their real names: git applies nothing beyond a link."""
    absolute = Path(os.path.abspath(path))
    base = Path(os.path.abspath(root or Path.cwd()))
    if root is not None:
        absolute, base = absolute.parent.resolve() / absolute.name, base.resolve()
    if absolute.is_relative_to(base):
        return absolute.relative_to(base).as_posix()
    return absolute.name
