"""The last few hundred durations of one thing, and what most of them stay below: Recent."""

from __future__ import annotations

from collections import deque
from itertools import islice

_SIZE = 200
# Sorting at every request would cost more than it tells.
_SORT_AGAIN = 10


class Recent:
    """A sliding window of durations in seconds."""

    __slots__ = ("_fresh", "_p95", "_window")

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=_SIZE)
        self._p95 = 0.0
        self._fresh = 0

    def __len__(self) -> int:
        return len(self._window)

    def add(self, seconds: float) -> None:
        """One more; the oldest falls out."""
        self._window.append(seconds)
        self._fresh -= 1

    def p95(self) -> float:
        """What 95 % of them stay below or reach; at most ten durations old. 0 without any."""
        if self._fresh <= 0 and self._window:
            at = min(len(self._window) - 1, -(-95 * len(self._window) // 100) - 1)
            self._p95 = next(islice(sorted(self._window), at, None))
            self._fresh = _SORT_AGAIN
        return self._p95
