"""Time that a call spends with others than us, counted once where it overlaps: Away."""

from __future__ import annotations


class Away:
    """`seconds` with replicas, and between attempts, up to the last time that it was back. Hedged
    attempts overlap. `first` is when the first of them began, None before."""

    __slots__ = ("_open", "_since", "first", "seconds")

    def __init__(self) -> None:
        self.first: float | None = None
        self.seconds = 0.0
        self._open = 0
        self._since = 0.0

    @property
    def is_back(self) -> bool:
        """Whether it was away and is not now."""
        return self.first is not None and not self._open

    def leave(self, now: float) -> None:
        """Somebody else has it from now on."""
        if self.first is None:
            self.first = now
        if not self._open:
            self._since = now
        self._open += 1

    def back(self, now: float) -> None:
        """One of them is done with it."""
        self._open -= 1
        if not self._open:
            self.seconds += now - self._since
