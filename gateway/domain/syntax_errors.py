"""Whether a change breaks a file's syntax: the verdict, and the port of what can parse."""

from __future__ import annotations

from typing import Literal, Protocol

Verdict = Literal["ok", "worse", "unknown"]


class SyntaxErrors(Protocol):
    """Tells whether a text can be parsed."""

    def count(self, language: str, text: str) -> int | None:
        """How many places of `text` are no correct `language` (a parser that stops at the first
        says 1); None where it cannot tell. Bounded in time, safe in any thread, never raises."""
        ...


def verdict(syntax: SyntaxErrors, language: str, before: str, after: str) -> Verdict:
    """`worse` only where `after` has more errors than `before`: those that were there are not the
    change's own."""
    new = syntax.count(language, after)
    if new is None:
        return "unknown"
    old = syntax.count(language, before) if new else 0
    return "unknown" if old is None else "worse" if new > old else "ok"
