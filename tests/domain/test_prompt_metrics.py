"""The metrics of prompts are in the table, and their buckets reach to the largest windows."""

from __future__ import annotations

from gateway.domain.metrics import METRICS
from gateway.domain.prompt_metrics import CONTEXT_TOKENS, PROMPT_METRICS


def test_all_of_them_are_in_the_table() -> None:
    assert set(PROMPT_METRICS) <= set(METRICS)


def test_a_prompt_of_a_large_window_is_no_outlier() -> None:
    assert max(CONTEXT_TOKENS.buckets) == 131_072
