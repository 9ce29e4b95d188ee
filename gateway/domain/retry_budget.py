"""How many extra requests a fleet can bear: RetryBudget for retries, HedgeBudget for hedges."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 10
_MOST_SAVED = 10.0


class RetryBudget:
    """At most `share` of the requests of the last ten seconds may be retries. Where that is less
    than `floor` a second, so many are allowed, and no more at once: a single failing request is
    retried, a failing fleet is not asked again by everybody. `clock` gives monotonic seconds."""

    def __init__(self, share: float, floor: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.adopt(share, floor)
        # One row for each second of the window: the second, its requests, its retries.
        self._rows: deque[list[int]] = deque()
        self._requests = self._retries = 0

    def adopt(self, share: float, floor: int) -> None:
        """This share and this floor from now on; what was spent stays spent."""
        self._share = share
        self._floor = floor

    def request(self) -> None:
        """A request has come in."""
        self._row()[1] += 1
        self._requests += 1

    def spend(self) -> bool:
        """Take one retry out of the budget; False when there is none left."""
        row = self._row()
        within = self._retries + 1 <= self._share * self._requests
        low = self._retries < self._floor * WINDOW_SECONDS and row[2] < self._floor
        if not within and not low:
            return False
        self.take()
        return True

    def take(self) -> None:
        """A retry is made in any case: it counts, and later ones may have to wait for it."""
        self._row()[2] += 1
        self._retries += 1

    def _row(self) -> list[int]:
        second = int(self._clock())
        rows = self._rows
        while rows and rows[0][0] <= second - WINDOW_SECONDS:
            _, requests, retries = rows.popleft()
            self._requests -= requests
            self._retries -= retries
        if not rows or rows[-1][0] != second:
            rows.append([second, 0, 0])
        return rows[-1]


class HedgeBudget:
    """Each request saves `share` of a hedge; at most ten are saved up, and one is there from the
    start."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._saved = 1.0 if share else 0.0

    def adopt(self, share: float) -> None:
        """This share from now on."""
        if not share:
            self._saved = 0.0
        elif not self._share:
            self._saved = 1.0
        self._share = share

    def request(self) -> None:
        """A request that could be hedged has come in."""
        self._saved = min(_MOST_SAVED, self._saved + self._share)

    def spend(self) -> bool:
        """Take one hedge; False when none is saved."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
