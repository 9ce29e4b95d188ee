"""What a client sends for one question about code: the file, related files, rules, the talk."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.source import SourceFile, Span


@dataclass(frozen=True, slots=True)
class Related:
    """Another file, and why it was sent: attached, import, definition, open."""

    path: str
    content: str
    reason: str = "open"


@dataclass(frozen=True, slots=True)
class Rule:
    """A file of rules such as AGENTS.md; root first, nearest last."""

    path: str
    content: str


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
class Material:
    """All that a client sent for one question about `span` of `file`."""

    file: SourceFile
    span: Span
    instruction: str
    related: tuple[Related, ...] = ()
    rules: tuple[Rule, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    conversation: tuple[Turn, ...] = ()


def nearest(material: Material) -> list[Diagnostic]:
    """The diagnostics, those in and next to the selection first."""
    first, end = material.span.first_line, material.span.end_line
    return sorted(
        material.diagnostics, key=lambda said: max(first - said.line, said.line - end + 1, 0)
    )
