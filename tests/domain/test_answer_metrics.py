"""The metrics of answers have bounds that their alerts ask about."""

from __future__ import annotations

from gateway.domain.answer_metrics import ANSWER_METRICS, OVERHEAD
from gateway.domain.metrics import METRICS


def test_all_of_them_are_in_the_table() -> None:
    assert set(ANSWER_METRICS) <= set(METRICS)


def test_whether_overhead_is_above_50_ms_can_be_told() -> None:
    assert 0.05 in OVERHEAD.buckets
