"""GuardOutput: answers that hold a denied pattern are cut off before any of the match has left."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field, field_validator

from gateway import Call, Delta, Policy, Refusal, Tools, Watch, json_view


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
                    Watch(pattern)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            return patterns

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        self.window = settings.window
        self._watches = {
            name: Watch(pattern, settings.window) for name, pattern in settings.patterns.items()
        }

    async def during(self, call: Call, delta: Delta) -> Delta:
        text, start = delta.before + delta.text, len(delta.before)
        hold = self._held(delta, text, start)
        # The arguments of a tool are JSON: its escapes say the same text in other letters.
        if delta.field.endswith("arguments") and (said := json_view(text)) is not None:
            place = said.index(start)
            waits = self._held(delta, said.text, place)
            first = said.starts[max(place, len(said.text) - waits)]
            hold = max(hold, len(text) - max(start, first))
        return replace(delta, hold=0 if delta.final else hold)

    def _held(self, delta: Delta, text: str, start: int) -> int:
        """How many characters at the end must wait. Refusal where a pattern is found."""
        hold = 0
        for name, watch in self._watches.items():
            sight = watch.look(text, start, final=delta.final)
            waits = len(text) - sight.settled
            if sight.spans or waits > self.window:
                raise Refusal(
                    "The answer was withheld: it holds text that may not leave this gateway.",
                    code="answer_withheld",
                    detail=f"guard_output: pattern {name!r} in {delta.field}",
                )
            hold = max(hold, waits)
        return hold
