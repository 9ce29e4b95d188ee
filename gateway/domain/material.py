"""What a client sends for one question about code: the file, related files, rules, the talk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain import columns, lines
from gateway.domain.source import SourceFile, Span, path_parts
from gateway.domain.structure import NO_STRUCTURE, Run, Structure


@dataclass(frozen=True, slots=True)
class Related:
    """Another file, or text from one, and why it was sent: attached, import, definition, open; or
    declaration (of `name`), or edit (a diff).

    `ranges` are the lines that matter, where the client says so. `refused` says why it may not go
    in, and `redacted` how many secrets were taken out of it.
    """

    path: str
    content: str = field(repr=False)
    reason: str = "open"
    ranges: tuple[Run, ...] = ()
    name: str = ""
    language: str = "plaintext"
    refused: str = ""
    redacted: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A file of rules such as AGENTS.md; root first, nearest last."""

    path: str
    content: str
    refused: str = ""
    redacted: int = 0


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What a compiler or linter said about a line, counted from 0."""

    line: int
    severity: str
    message: str

    @property
    def text(self) -> str:
        """One line, counted from 1 as people do."""
        return f"line {self.line + 1} {self.severity}: {' '.join(self.message.split())}\n"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation so far."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Survey:
    """The structure of the file, and of each related file in the order of the material. `places`
    are those that the files of this session's last prompt had in their order, by path."""

    file: Structure = NO_STRUCTURE
    related: tuple[Structure, ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)

    def of(self, index: int) -> Structure:
        """That of a related file; an empty one when there was none to make."""
        return self.related[index] if index < len(self.related) else Structure()


NO_FILE = SourceFile("", "plaintext", b"")
"""What stands for the file where a question is about none."""


@dataclass(frozen=True, slots=True)
class Material:
    """All that a client sent for one question about `span` of `file`, which may be NO_FILE.

    `touched` are the paths of the files whose text is in `file`, where that is a diff. `why` says
    how the span came to be. `shown` is the text of the file as it may be shown, line for line;
    None: as it is. `secrets` are what its placeholders stand for.
    """

    file: SourceFile
    span: Span
    instruction: str
    related: tuple[Related, ...] = ()
    rules: tuple[Rule, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    conversation: tuple[Turn, ...] = ()
    touched: tuple[str, ...] = ()
    why: str = "selected"
    shown: str | None = field(default=None, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def has_file(self) -> bool:
        """Whether the question is about a file at all."""
        return bool(self.file.path)

    @property
    def paths(self) -> frozenset[str]:
        """The files that the client has shown to be there."""
        related = {
            "/".join(path_parts(other.path))
            for other in self.related
            if other.reason != "declaration"
        }
        return frozenset({self.file.path, *related} - {""})

    @property
    def text(self) -> str:
        """The whole file as it may be shown."""
        return self.file.text(self.file.whole) if self.shown is None else self.shown

    @property
    def rows(self) -> list[str]:
        """Its lines, with their ends."""
        return lines.split(self.text)

    @property
    def selected(self) -> str:
        """What the question is about, as it may be shown."""
        if self.shown is None:
            return self.file.text(self.span)
        text = "".join(self.rows[self.span.first_line : self.span.end_line])
        head, tail = self.edges
        return text[len(head) : len(text) - len(tail)]

    @property
    def edges(self) -> tuple[str, str]:
        """What the first line has before the selection, and the last one after it; nothing, but in
        lines too long to be shown whole."""
        if not any(columns.cut(self.file, self.span)):
            return "", ""
        return columns.edges(self.file, self.span, self.rows, self.secrets)


def nearest(material: Material) -> list[Diagnostic]:
    """The diagnostics, those in and next to the selection first."""
    first, end = material.span.first_line, material.span.end_line
    return sorted(
        material.diagnostics, key=lambda said: max(first - said.line, said.line - end + 1, 0)
    )
