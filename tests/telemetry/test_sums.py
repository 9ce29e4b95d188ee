"""Tokens are the same wherever they are told: to clients, in the ledger, in metrics."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.telemetry.mixed import CALLS, Seen

INPUT = "gen_ai_client_inference_usage_input_tokens_total"
OUTPUT = "gen_ai_client_inference_usage_output_tokens_total"
CACHED = "gen_ai_client_inference_usage_cache_read_input_tokens_total"
GUESSED = "gw_usage_estimated_tokens_total"


def test_every_call_that_was_let_in_is_in_the_ledger_and_in_the_metrics_once(seen: Seen) -> None:
    ledger = Counter(row["outcome"] for row in seen.rows.values())
    assert set(ledger) >= {"completed", "refused", "failed", "cancelled", "truncated"}
    counted = {name: seen.total("gw_requests_total", outcome=name) for name in ledger}
    unknown = seen.total("gw_responses_total", status="401")
    assert counted == {**ledger, "refused": ledger["refused"] + unknown}
    assert seen.total("gw_requests_total") == len(seen.rows) + unknown == CALLS


def test_each_client_saw_what_the_ledger_says(seen: Seen) -> None:
    ledger = {
        name: (row["prompt_tokens"], row["completion_tokens"])
        for name, row in seen.rows.items()
        if name in seen.told
    }
    assert len(seen.told) > CALLS / 2
    assert seen.told == ledger


@pytest.mark.parametrize(
    ("column", "counter", "side"),
    [("prompt_tokens", INPUT, "input"), ("completion_tokens", OUTPUT, "output")],
)
def test_metrics_say_what_the_ledger_says_to_the_token(
    seen: Seen, column: str, counter: str, side: str
) -> None:
    counted = sum(row[column] for row in seen.rows.values() if row["counted"])
    guessed = sum(row[column] for row in seen.rows.values() if not row["counted"])
    assert seen.total(counter) == counted > 0
    assert seen.total(GUESSED, token_type=side) == guessed > 0
    older = seen.total("gen_ai_client_token_usage_sum", gen_ai_token_type=side)
    size = seen.total(f"gen_ai_client_inference_operation_{side}_tokens_sum")
    assert older == size == counted


def test_cached_tokens_are_those_of_the_ledger(seen: Seen) -> None:
    cached = sum(row["cached_tokens"] for row in seen.rows.values())
    assert seen.total(CACHED) == cached > 0


def test_calls_whose_tokens_nobody_counted_are_told_apart(seen: Seen) -> None:
    guessed = [
        row
        for row in seen.rows.values()
        if not row["counted"] and row["prompt_tokens"] + row["completion_tokens"]
    ]
    assert seen.total("gw_usage_estimated_total") == len(guessed) > 0


def test_wasted_tokens_are_those_of_answers_that_did_not_end_well(seen: Seen) -> None:
    wasted = sum(
        row["completion_tokens"] for row in seen.rows.values() if row["outcome"] != "completed"
    )
    assert seen.total("gw_wasted_output_tokens_total") == wasted > 0
