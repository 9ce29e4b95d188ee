"""Which traces are kept: a share of them, by their id, and all that somebody will look for."""

from __future__ import annotations

from gateway.adapters.spans import Origin
from gateway.domain.call import Outcome, OutcomeKind

_BAD = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMEOUT, OutcomeKind.TRUNCATED})
# As OpenTelemetry's TraceIdRatioBased reads an id, so that all who use that ratio agree.
_LOWER = (1 << 64) - 1


class Sampling:
    """`ratio` of the traces that begin here are kept, and of those that come in as the client has
    decided. Kept are also those that ended badly, or took `slow` seconds: that is known only at
    their end, when replicas have been told otherwise, so of those the replicas' own spans are
    missing."""

    def __init__(self, ratio: float, slow: float) -> None:
        self._below = round(ratio * (_LOWER + 1))
        self._slow = slow

    def head(self, trace_id: int, parent: Origin | None) -> bool:
        """Whether it is kept, whatever becomes of it."""
        if parent is not None:
            return parent.sampled
        return (trace_id & _LOWER) < self._below

    def keeps(self, sampled: bool, outcome: Outcome) -> bool:
        """Whether it is kept, now that it has ended."""
        return sampled or outcome.kind in _BAD or outcome.seconds >= self._slow
