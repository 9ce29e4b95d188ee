"""GuardOutput: answers that hold a denied pattern are cut off before any of the match has left."""

from __future__ import annotations

from dataclasses import replace

# Not `re`: only this one can tell a text that may still become a match.
import regex  # type: ignore[import-untyped]
from pydantic import Field, field_validator

from gateway import Call, Delta, Policy, Refusal, Tools

_SECONDS = 0.2
_PARTS = regex.compile(r"(?s)\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|.")
# Where regex cannot be relied on to see that a match has begun: what it makes of the end of the
# text in these would change with the next character.
_DOUBTFUL = regex.compile(r"\\[mMGKXR]|\(\*|\(\?[is]*[^:isP<=!)]|\[\[[^:]")
_NOT = regex.compile(r"\(\?<?!")
_ENDS = regex.compile(r"\\[bBZz]|\$")


class GuardOutput(Policy):
    """Refuses an answer in which a pattern is found: nothing of the match leaves, streaming or
    not, in the text, the reasoning or the arguments of tools. On a stream only text that may
    become a match is held back, at most `window` characters of it; a longer one counts as found.
    Of patterns that look around: back they see 64 characters, and ahead what has come so far.
    """

    class Settings(Policy.Settings):
        patterns: dict[str, str] = Field(min_length=1)
        """name and regular expression of each: {aws_key: "AKIA[0-9A-Z]{16}"}; only the name is
        ever logged"""

        window: int = Field(1024, ge=1)
        """characters that may be held back while it is open whether they become a match; a few
        kinds of patterns, with (?m), (?> or negative lookarounds at a \\b, always take all"""

        @field_validator("patterns")
        @classmethod
        def _compile(cls, patterns: dict[str, str]) -> dict[str, str]:
            for name, pattern in patterns.items():
                try:
                    compiled = regex.compile(pattern)
                except regex.error as error:
                    raise ValueError(f"{name}: not a regular expression: {error}") from None
                if compiled.search(""):
                    raise ValueError(f"{name}: matches where there is nothing at all")
                if compiled.flags & regex.REVERSE:
                    raise ValueError(f"{name}: (?r) cannot be searched for on a stream")
            return patterns

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        self.window = settings.window
        self._rules = [_Rule(name, pattern) for name, pattern in settings.patterns.items()]

    async def during(self, call: Call, delta: Delta) -> Delta:
        text, start = delta.before + delta.text, len(delta.before)
        hold = 0
        for rule in self._rules:
            waits = rule.found(text, start) if delta.final else rule.waits(text, start, self.window)
            if waits is None:
                raise Refusal(
                    "The answer was withheld: it holds text that may not leave this gateway.",
                    code="answer_withheld",
                    detail=f"guard_output: pattern {rule.name!r} in {delta.field}",
                )
            hold = max(hold, waits)
        return replace(delta, hold=hold)


class _Rule:
    """One pattern. `_find` is what was written; `_begin` matches that, and also takes the end of
    the text for whatever word border the pattern wants there: the next character will tell."""

    def __init__(self, name: str, pattern: str) -> None:
        self.name = name
        parts = (part.group() for part in _PARTS.finditer(pattern))
        begin = "".join(rf"(?:{part}|\Z)" if part in (r"\b", r"\B") else part for part in parts)
        self._find = regex.compile(pattern)
        self._begin = regex.compile(begin)
        self._doubtful = bool(
            _DOUBTFUL.search(pattern) or (_NOT.search(pattern) and _ENDS.search(pattern))
        )

    def found(self, text: str, start: int) -> int | None:
        """None when there is a match from `start`, else 0: nothing need wait."""
        return None if self._find.search(text, start, timeout=_SECONDS) else 0

    def waits(self, text: str, start: int, most: int) -> int | None:
        """How many characters at the end may become a match when more text comes; None when there
        is one already, or more than `most` would have to wait."""
        least = most if self._doubtful else 0
        begun = self._begin.search(text, start, partial=True, timeout=_SECONDS)
        if begun is None:
            return least
        if len(text) - begun.start() > most:
            return None
        if begun.partial:
            return max(least, len(text) - int(begun.start()))
        whole = self._find.search(text, start, timeout=_SECONDS)
        # `$` also matches before a newline that ends the text.
        if whole is not None and whole.end() < len(text.removesuffix("\n")):
            return None
        # At the very end it may still turn out to be none: `cat\b` before the "s" of "cats". Until
        # then all must wait: regex names a partial match only where there is no whole one, so a
        # partial one may lie to the left of it.
        return max(least, len(text) - start)
