"""The metrics of limits are in the table, and the share of a budget is not added up."""

from __future__ import annotations

from gateway.domain.limit_metrics import BUDGET_ALERTS, BUDGET_USED, POLICY_SECONDS, RATE_LIMITED
from gateway.domain.metrics import METRICS


def test_they_are_in_the_table_of_metrics() -> None:
    assert {BUDGET_ALERTS, BUDGET_USED, POLICY_SECONDS, RATE_LIMITED} <= set(METRICS)
