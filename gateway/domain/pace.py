"""How the chunks of a stream came, one after the other: Pace."""

from __future__ import annotations

from bisect import bisect_left

from gateway.domain.genai_metrics import SECONDS


class Pace:
    """`counts` are the gaps between chunks by the buckets of genai_metrics.SECONDS, the last one
    for those beyond; `total` and `longest` of them in seconds; `last` is when the last chunk came.
    A call of `chunk` costs a quarter of a microsecond."""

    __slots__ = ("counts", "last", "longest", "total")

    def __init__(self) -> None:
        self.counts: list[int] | None = None
        self.last = self.total = self.longest = 0.0

    def chunk(self, now: float) -> None:
        """One more, at this moment."""
        counts = self.counts
        if counts is None:
            self.counts = [0] * (len(SECONDS) + 1)
        else:
            gap = now - self.last
            counts[bisect_left(SECONDS, gap)] += 1
            self.total += gap
            if gap > self.longest:
                self.longest = gap
        self.last = now
