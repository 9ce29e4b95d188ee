"""Values of a metric's label, bounded: LabelValues."""

from __future__ import annotations

from gateway.domain.metric_labels import OTHER


class LabelValues:
    """Bounds a label: the first `limit` different values stay, any later one is "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def label(self, value: str) -> str:
        """`value` itself, or "other"."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value
