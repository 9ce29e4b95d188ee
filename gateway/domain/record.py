"""The decision record of a call: what each room decided and why, in order. No prompt, no answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# A call that is retried, hedged and handed over again and again still has a short record.
MOST_NOTES = 64


@dataclass(frozen=True, slots=True)
class Note:
    """One decision: `at` in monotonic seconds, `kind` a word (queued, choice, attempt, hedge,
    hand_over, fallback, policy, …), `facts` plain JSON values without any content of the call."""

    at: float
    kind: str
    facts: dict[str, Any]


@dataclass(slots=True)
class Record:
    """Notes of one call. `dropped` counts those past MOST_NOTES."""

    clock: Callable[[], float]
    notes: list[Note] = field(default_factory=list)
    dropped: int = 0

    def note(self, kind: str, **facts: Any) -> None:
        """Add a decision. Never raises, costs about a microsecond."""
        if len(self.notes) >= MOST_NOTES:
            self.dropped += 1
            return
        self.notes.append(Note(self.clock(), kind, facts))
