"""Places in a file as the language server protocol has them, and what a compiler says of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "information", "hint"]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two characters; line and character count from 0.

    In questions and answers of this client a character is one of a Python string (`utf-32` in the
    protocol's words), unless `position_encoding` says otherwise.
    """

    line: int
    character: int


@dataclass(frozen=True, slots=True)
class Range:
    """From `start` up to `end`."""

    start: Position
    end: Position

    def as_json(self) -> dict[str, Any]:
        """For a request."""
        return {
            "start": {"line": self.start.line, "character": self.start.character},
            "end": {"line": self.end.line, "character": self.end.character},
        }


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """What a compiler or linter says."""

    range: Range
    message: str
    severity: Severity = "error"
    code: str | int | None = None

    @classmethod
    def at(
        cls,
        line: int,
        message: str,
        *,
        column: int = 1,
        severity: Severity = "error",
        code: str | int | None = None,
    ) -> Diagnostic:
        """At a line and column that count from 1, as compilers print them."""
        place = Position(line - 1, max(column - 1, 0))
        return cls(Range(place, place), message, severity, code)

    def as_json(self) -> dict[str, Any]:
        """For a request."""
        found = {"range": self.range.as_json(), "severity": self.severity, "message": self.message}
        return found if self.code is None else {**found, "code": self.code}
