"""The names and bounds of the GenAI conventions, each told where its convention is set."""

from __future__ import annotations

import pytest

from gateway.domain.genai_metrics import GENAI_METRICS, PER_TOKEN, SERVER_DURATION
from gateway.domain.metric import Convention, Kind
from gateway.domain.metrics import METRICS, exported

LATEST = {
    "gen_ai_client_inference_duration_seconds",
    "gen_ai_client_inference_time_to_first_chunk_seconds",
    "gen_ai_client_inference_time_per_output_chunk_seconds",
    "gen_ai_client_inference_usage_input_tokens_total",
    "gen_ai_client_inference_usage_output_tokens_total",
    "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "gen_ai_client_inference_usage_reasoning_output_tokens_total",
    "gen_ai_client_inference_operation_input_tokens",
    "gen_ai_client_inference_operation_output_tokens",
}
OLD = {
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    "gen_ai_client_token_usage",
}
SERVER = {
    "gen_ai_server_request_duration_seconds",
    "gen_ai_server_time_to_first_token_seconds",
    "gen_ai_server_time_per_output_token_seconds",
}


@pytest.mark.parametrize(
    ("convention", "names"),
    [("latest", LATEST | SERVER), ("v1_41", OLD | SERVER), ("both", LATEST | OLD | SERVER)],
)
def test_a_convention_has_its_own_names_and_all_that_are_ours(
    convention: str, names: set[str]
) -> None:
    told = {metric.name for metric in exported(Convention(convention))}
    assert {name for name in told if name.startswith("gen_ai")} == names
    ours = {metric.name for metric in METRICS} - {metric.name for metric in GENAI_METRICS}
    assert ours <= told


def test_the_conventions_bounds_are_among_ours() -> None:
    assert set(SERVER_DURATION.buckets) >= {0.01 * 2**power for power in range(14)}
    assert (PER_TOKEN.buckets[0], PER_TOKEN.buckets[-1]) == (0.01, 2.5)


def test_no_address_of_a_replica_is_a_label() -> None:
    assert not [m for m in METRICS if {"server_address", "server_port"} & set(m.labels)]
    assert {m.kind for m in GENAI_METRICS} == {Kind.COUNTER, Kind.HISTOGRAM}
