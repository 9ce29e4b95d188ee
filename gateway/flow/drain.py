"""How fast the slots of a model come free: Drain, from which Retry-After is computed."""

from __future__ import annotations

from collections import deque

# Long enough for a few answers of minutes, short enough to follow a change of load.
_WINDOW = 60.0
# Less than this says little; more precise than a second nobody needs it.
_SHORTEST = 1.0
# Weight of the newest call in the running mean of how long a slot is held.
_NEWEST = 0.1


class Drain:
    """Counts the slots that come free while calls wait, over the last minute. Where that says
    nothing yet, it goes by how long a slot is held on average. Times in monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._freed: deque[tuple[int, int]] = deque()
        self._held = 1.0

    @property
    def counting(self) -> bool:
        """All slots were taken when it was last told."""
        return self._since is not None

    def full(self, now: float) -> None:
        """All slots are taken: from here on, what comes free is what the queue gets."""
        if self._since is None:
            self._since = now

    def slack(self) -> None:
        """Slots are free again: how fast they came free says nothing about the next crowd."""
        self._since = None
        self._freed.clear()

    def freed(self, held: float, now: float) -> None:
        """A slot comes free that was held for so many seconds."""
        self._held += _NEWEST * (held - self._held)
        if self._since is None:
            return
        second = int(now)
        if self._freed and self._freed[-1][0] == second:
            self._freed[-1] = (second, self._freed[-1][1] + 1)
        else:
            self._freed.append((second, 1))
        while self._freed[0][0] < now - _WINDOW:
            self._freed.popleft()

    def rate(self, now: float) -> float | None:
        """Slots a second; None while that cannot be told."""
        if self._since is None:
            return None
        span = min(now - self._since, _WINDOW)
        count = sum(many for second, many in self._freed if second >= now - _WINDOW)
        return count / span if count and span >= _SHORTEST else None

    def seconds(self, turns: int, slots: int, now: float) -> float:
        """How long it takes until `turns` slots have come free, of `slots` in all."""
        rate = self.rate(now) or slots / max(self._held, 0.001)
        return turns / rate
