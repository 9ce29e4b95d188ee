"""The metrics of processes are in the table."""

from __future__ import annotations

from gateway.domain.metrics import METRICS
from gateway.domain.process_metrics import PROCESS_METRICS


def test_all_of_them_are_in_the_table() -> None:
    assert set(PROCESS_METRICS) <= set(METRICS)
