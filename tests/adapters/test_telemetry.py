"""Metrics, spans and the log line of a call agree, and nothing in them is invented."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.telemetry import Telemetry
from gateway.domain import ports
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.metrics import (
    METRICS,
)
from gateway.domain.retry import Fault
from gateway.testing.otlp_sink import OtlpSink

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
INCOMING = f"00-{TRACE}-{SPAN}-01"
CANARY = "Canary" + "0123456789"

REPLICA_A = ports.Replica("a", "smol", "org/smol", "http://10.0.0.1:8001/v1", api_key=CANARY)
REPLICA_B = ports.Replica("b", "smol", "org/smol", "https://b.internal/v1", api_key=CANARY)
COMPLETED = Outcome(
    OutcomeKind.COMPLETED,
    200,
    usage=Usage(31, 8, 16),
    replica="b",
    served_model="org/smol",
    finish_reason="stop",
    attempts=(Attempt("a", Fault.CONNECT, 0.1), Attempt("b", "ok", 0.5)),
    seconds=0.75,
    first_token_seconds=0.25,
    queue_seconds=0.01,
)


@dataclass(frozen=True)
class Settings:
    otlp_endpoint: str | None = None
    service_name: str = "vllm-gateway"
    console: bool = False
    sample_ratio: float = 1.0
    slow_s: float = 10.0
    genai_semconv: str = "both"
    otlp_metrics: bool = False
    otlp_metrics_interval_s: float = 30.0


def a_call(request_id: str = "r1", model: str = "smol", team: str = "red", **other: Any) -> Call:
    body = {"messages": [{"role": "user", "content": CANARY}], "max_tokens": 64}
    other.setdefault("stream", True)
    call = Call(request_id, CHAT, model, body, received=0.0, deadline=60.0, **other)
    call.credential = CANARY
    call.caller = Caller(team, "key-7")
    return call


def untraced() -> Telemetry:
    return Telemetry(Settings(), lambda: ("smol", "big"), lambda: 0.0)


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as open_sink:
        yield open_sink


@asynccontextmanager
async def traced(sink: OtlpSink) -> AsyncIterator[Telemetry]:
    """Leaving the block sends every span."""
    telemetry = Telemetry(Settings(sink.endpoint), lambda: ("smol", "big"), lambda: 0.0)
    try:
        yield telemetry
    finally:
        await telemetry.aclose()


def samples(telemetry: Telemetry) -> dict[str, float]:
    """By name and labels, as Prometheus would print them; without the buckets."""
    page = telemetry.render()[0].decode()
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if "le" not in one.labels
    }


def walk(telemetry: Telemetry, call: Call, outcome: Outcome = COMPLETED) -> list[str | None]:
    """A call whose first replica is down, on the second; returns the headers that went out."""
    telemetry.started(call)
    telemetry.verdict(call, "allowlist", "allow", 0.001)
    headers = []
    for number, (replica, attempt) in enumerate(
        zip((REPLICA_A, REPLICA_B), COMPLETED.attempts, strict=True), start=1
    ):
        probe = telemetry.attempt(call, replica, number)
        headers.append(probe.traceparent)
        probe.end(attempt)
    telemetry.settled(call, outcome)
    return headers


GEN_AI = "gen_ai_operation_name=chat,gen_ai_provider_name=openai,gen_ai_request_model=smol"
TEXT = f"{GEN_AI},gen_ai_token_modality=text"


def test_a_completed_call_is_counted_to_the_token() -> None:
    telemetry = untraced()
    walk(telemetry, a_call())
    route = "route=/v1/chat/completions"
    found = samples(telemetry)
    assert (
        found.items()
        >= {
            f"gw_requests_total{{model=smol,outcome=completed,{route},team=red}}": 1,
            f"gw_request_duration_seconds_count{{model=smol,{route}}}": 1,
            f"gw_request_duration_seconds_sum{{model=smol,{route}}}": 0.75,
            f"gw_responses_total{{{route},status=200}}": 1,
            "gw_stream_outcome_total{model=smol,outcome=completed}": 1,
            "gw_inflight{model=smol}": 0,
            "gw_queue_wait_seconds_count{model=smol}": 1,
            "gw_queue_wait_seconds_sum{model=smol}": 0.01,
            f"gen_ai_server_time_to_first_token_seconds_count{{{GEN_AI}}}": 1,
            f"gen_ai_server_time_to_first_token_seconds_sum{{{GEN_AI}}}": 0.25,
            f"gen_ai_client_inference_usage_input_tokens_total{{{TEXT}}}": 31,
            f"gen_ai_client_inference_usage_output_tokens_total{{{TEXT}}}": 8,
            f"gen_ai_client_inference_usage_cache_read_input_tokens_total{{{TEXT}}}": 16,
            f"gen_ai_client_token_usage_sum{{{GEN_AI},gen_ai_token_type=input}}": 31,
            "gw_upstream_attempts_total{outcome=connect_error,replica=a}": 1,
            "gw_upstream_attempts_total{outcome=ok,replica=b}": 1,
            "gw_retries_total{reason=connect_error}": 1,
            "gw_policy_decisions_total{decision=allow,policy=allowlist}": 1,
            "gw_policy_seconds_count{policy=allowlist}": 1,
            "gw_policy_seconds_sum{policy=allowlist}": 0.001,
        }.items()
    )
    assert not [name for name in found if "estimated" in name or "wasted" in name]


def test_a_call_is_in_flight_until_it_is_settled() -> None:
    telemetry = untraced()
    first, second = a_call(), a_call()  # two clients may send the same id
    telemetry.started(first)
    telemetry.started(second)
    assert samples(telemetry)["gw_inflight{model=smol}"] == 2
    telemetry.settled(first, COMPLETED)
    assert samples(telemetry)["gw_inflight{model=smol}"] == 1
    telemetry.settled(second, COMPLETED)
    assert samples(telemetry)["gw_inflight{model=smol}"] == 0


def test_a_call_that_is_sent_to_another_model_moves_there() -> None:
    telemetry, call = untraced(), a_call(model="")
    telemetry.started(call)
    call.model = "big"
    telemetry.attempt(call, REPLICA_A, 1)
    assert samples(telemetry)["gw_inflight{model=other}"] == 0
    assert samples(telemetry)["gw_inflight{model=big}"] == 1
    telemetry.settled(call, COMPLETED)
    assert samples(telemetry)["gw_inflight{model=big}"] == 0


def test_settling_twice_or_without_a_start_counts_nothing() -> None:
    telemetry, call = untraced(), a_call()
    telemetry.settled(call, COMPLETED)
    assert not any(name.startswith("gw_requests_total") for name in samples(telemetry))
    walk(telemetry, call)
    before = samples(telemetry)
    telemetry.settled(call, COMPLETED)
    assert samples(telemetry) == before


def test_tokens_and_times_that_nobody_measured_are_not_counted() -> None:
    telemetry, call = untraced(), a_call()
    telemetry.started(call)
    telemetry.settled(call, Outcome(OutcomeKind.FAILED, 503, seconds=1.0))
    names = " ".join(samples(telemetry))
    assert "tokens" not in names
    assert "first_token" not in names
    assert "queue_wait" not in names
    assert "gw_requests_total" in names


def test_an_answer_in_one_piece_has_no_first_token() -> None:
    telemetry = untraced()
    walk(telemetry, a_call(stream=False))
    assert "first_token" not in " ".join(samples(telemetry))


def test_an_attempt_that_is_cut_short_is_counted_once() -> None:
    telemetry, call = untraced(), a_call()
    telemetry.started(call)
    probe = telemetry.attempt(call, REPLICA_A, 1)
    telemetry.settled(call, Outcome(OutcomeKind.CANCELLED, 499))
    probe.end(Attempt("a", "cancelled", 0.1))
    assert samples(telemetry)["gw_upstream_attempts_total{outcome=cancelled,replica=a}"] == 1


def test_ten_thousand_made_up_names_add_hardly_a_series() -> None:
    telemetry = untraced()
    for number in range(10_000):
        word = f"x{number}"
        call = a_call(word, model=word, team=word, route=f"/{word}")
        telemetry.started(call)
        telemetry.verdict(call, word, word, 0.0)
        probe = telemetry.attempt(call, replace(REPLICA_A, id=word), 1)
        probe.end(Attempt(word, word, 0.0))
        telemetry.settled(call, replace(COMPLETED, attempts=(Attempt(word, word, 0.0),)))
    shown = samples(telemetry)
    counts = {metric.name: 0 for metric in METRICS}
    for name in shown:
        counts[re.sub(r"(_count|_sum)?\{.*", "", name)] += 1
    assert max(counts.values()) <= 257
    # The series of the first names may combine, and no others.
    assert counts["gw_requests_total"] <= 65
    assert counts["gw_inflight"] == 1


async def test_each_attempt_gets_a_header_of_its_own_span(sink: OtlpSink) -> None:
    async with traced(sink) as telemetry:
        headers = walk(telemetry, a_call(traceparent=INCOMING))
    assert len(sink.wait(5)) == 5
    assert headers == [f"00-{TRACE}-{span.span_id}-01" for span in sink.named("POST")]
    [server] = [span for span in sink.spans if span.kind == "SERVER"]
    assert server.parent_id == SPAN
    assert CANARY not in str(sink.spans)


async def test_settling_ends_whatever_is_open(sink: OtlpSink) -> None:
    async with traced(sink) as telemetry:
        call = a_call()
        telemetry.started(call)
        telemetry.attempt(call, REPLICA_A, 1)
        telemetry.settled(call, Outcome(OutcomeKind.CANCELLED, 499))
        telemetry.settled(call, COMPLETED)
    assert sorted(span.name for span in sink.wait(3)) == [
        *("POST", "POST /v1/chat/completions", "chat smol")
    ]


@pytest.mark.parametrize(
    ("incoming", "outgoing"), [(INCOMING, INCOMING), (None, None), ("nonsense", None)]
)
def test_without_tracing_a_good_header_is_passed_on_as_it_is(
    incoming: str | None, outgoing: str | None
) -> None:
    assert walk(untraced(), a_call(traceparent=incoming)) == [outgoing, outgoing]


async def test_the_log_line_names_the_trace(
    sink: OtlpSink, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.request")
    async with traced(sink) as telemetry:
        walk(telemetry, a_call())
    [server] = [span for span in sink.wait(5) if span.kind == "SERVER"]
    [record] = [one for one in caplog.records if one.name == "gateway.request"]
    fields = record.__dict__["fields"]
    assert (fields["trace_id"], fields["span_id"]) == (server.trace_id, server.span_id)


def test_without_tracing_the_log_line_names_the_clients_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "gateway.request")
    walk(untraced(), a_call(traceparent=INCOMING))
    [record] = [one for one in caplog.records if one.name == "gateway.request"]
    assert record.__dict__["fields"]["trace_id"] == TRACE


def test_it_is_what_the_rooms_ask_for() -> None:
    port: ports.Telemetry = untraced()
    assert port


def test_a_settled_call_is_handed_on_with_its_trace() -> None:
    kept: list[tuple[Call, Outcome, str | None]] = []
    telemetry = Telemetry(Settings(), tuple, lambda: 0.0, lambda *told: kept.append(told))
    call = a_call(traceparent=INCOMING)
    telemetry.started(call)
    telemetry.settled(call, COMPLETED)
    assert kept == [(call, COMPLETED, TRACE)]


def test_a_prompt_is_told_by_text_and_variant_and_a_shadow_apart() -> None:
    telemetry = untraced()
    ref = PromptRef("code/x", "1.0.0", "abc", "cold")
    walk(telemetry, a_call(prompt=ref))
    walk(telemetry, a_call(prompt=ref, shadow=True))

    found = samples(telemetry)
    for variant in ("cold", "shadow:cold"):
        rest = f"outcome=completed,prompt_text=code/x@1.0.0+abc,variant={variant}"
        assert found[f"gw_prompt_requests_total{{{rest}}}"] == 1
        assert found[f"gw_prompt_output_tokens_total{{prompt=code/x,variant={variant}}}"] == 8


def test_texts_of_prompts_are_bounded_as_labels() -> None:
    telemetry = untraced()
    for number in range(210):
        walk(telemetry, a_call(prompt=PromptRef("code/x", "1.0.0", f"{number:012d}")))

    shown = {name for name in samples(telemetry) if name.startswith("gw_prompt_requests_total")}
    assert len(shown) == 201
    assert any("prompt_text=other" in name for name in shown)
