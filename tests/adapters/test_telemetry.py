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
from gateway.domain.limits import Priority
from gateway.domain.metrics import (
    HANDOVERS,
    HEDGES,
    LEDGER_BACKLOG,
    LEDGER_LOST,
    MALFORMED_EVENTS,
    METRICS,
    RETRIES_DENIED,
    SHADOW_RUNS,
)
from gateway.domain.retry import Fault
from gateway.domain.standing import State
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


GEN_AI = "{gen_ai_operation_name=chat,gen_ai_provider_name=openai,gen_ai_request_model=smol}"


def test_a_completed_call_is_counted_to_the_token() -> None:
    telemetry = untraced()
    walk(telemetry, a_call())
    route = "route=/v1/chat/completions"
    assert samples(telemetry) == {
        f"gw_requests_total{{model=smol,outcome=completed,{route},team=red}}": 1,
        f"gw_request_duration_seconds_count{{model=smol,{route}}}": 1,
        f"gw_request_duration_seconds_sum{{model=smol,{route}}}": 0.75,
        "gw_inflight{model=smol}": 0,
        "gw_queue_wait_seconds_count{model=smol}": 1,
        "gw_queue_wait_seconds_sum{model=smol}": 0.01,
        f"gen_ai_server_time_to_first_token_seconds_count{GEN_AI}": 1,
        f"gen_ai_server_time_to_first_token_seconds_sum{GEN_AI}": 0.25,
        f"gen_ai_client_inference_usage_input_tokens_total{GEN_AI}": 31,
        f"gen_ai_client_inference_usage_output_tokens_total{GEN_AI}": 8,
        f"gen_ai_client_inference_usage_cache_read_input_tokens_total{GEN_AI}": 16,
        "gw_upstream_attempts_total{outcome=connect_error,replica=a}": 1,
        "gw_upstream_attempts_total{outcome=ok,replica=b}": 1,
        "gw_retries_total{reason=connect_error}": 1,
        "gw_policy_decisions_total{decision=allow,policy=allowlist}": 1,
        "gw_policy_seconds_count{policy=allowlist}": 1,
        "gw_policy_seconds_sum{policy=allowlist}": 0.001,
        "gw_records_redis_up{}": 0,
        "gw_records_dropped_total{}": 0,
        "gw_counters_redis_up{}": 0,
        "gw_counters_lost_total{}": 0,
        "gw_database_up{}": 0,
        "gw_ledger_backlog{}": 0,
        "gw_ledger_lost_total{}": 0,
    }


def test_every_declared_metric_is_fed() -> None:
    telemetry = untraced()
    walk(telemetry, a_call(prompt=PromptRef("code/x", "1.0.0", "abc")))
    for metric in (HANDOVERS, HEDGES, RETRIES_DENIED, MALFORMED_EVENTS, SHADOW_RUNS):
        telemetry.count(metric, "x")
    telemetry.replica("a", None, State.HEALTHY)
    telemetry.configured("abc", "def")
    telemetry.reloaded("ok")
    telemetry.queued("smol", Priority.NORMAL, 1)
    telemetry.shed("smol", Priority.NORMAL)
    telemetry.rate_limited("ratelimit", "key")
    telemetry.budget_used("red", "budget", 0.5)
    telemetry.budget_alert("budget", 80)
    telemetry.cost(a_call(model="smol"), 1)
    fed = {re.sub(r"(_count|_sum)?\{.*", "", name) for name in samples(telemetry)}
    assert fed == {metric.name for metric in METRICS}


def test_what_calls_cost_is_told_in_units_by_team_and_model() -> None:
    telemetry = untraced()
    telemetry.cost(a_call(model="smol"), 250_000)
    telemetry.cost(a_call(model="smol"), 500_000)
    telemetry.cost(a_call(model="made-up"), 1)
    telemetry.cost(a_call(model="smol"), 0)
    told = {n: v for n, v in samples(telemetry).items() if n.startswith("gw_cost_total")}
    assert [told[name] for name in sorted(told)] == [1e-06, 0.75]
    assert "model=other" in min(told)


def test_a_budget_stands_where_it_was_told_last_and_teams_are_bounded() -> None:
    telemetry = untraced()
    telemetry.budget_used("red", "budget", 0.5)
    telemetry.budget_used("red", "budget", 0.25)
    for number in range(60):
        telemetry.budget_used(f"team-{number}", "budget", 0.1)
    told = samples(telemetry)
    assert told["gw_budget_used_ratio{policy=budget,team=red}"] == 0.25
    assert len([name for name in told if name.startswith("gw_budget_used_ratio")]) == 51


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


def test_a_replicas_state_is_one_series_at_1_and_whether_it_is_up() -> None:
    telemetry = Telemetry(Settings(), lambda: ("m",))
    telemetry.replica("r0", None, State.HEALTHY)
    telemetry.replica("r0", State.HEALTHY, State.DRAINED)
    page = telemetry.render()[0].decode()
    assert 'gw_replica_state{replica="r0",state="drained"} 1.0' in page
    assert 'gw_replica_state{replica="r0",state="healthy"} 0.0' in page
    assert 'gw_upstream_up{replica="r0"} 0.0' in page
    telemetry.replica("r0", State.DRAINED, State.HALF_OPEN)
    telemetry.replica("r0", State.HALF_OPEN, None)
    page = telemetry.render()[0].decode()
    assert 'gw_upstream_up{replica="r0"} 0.0' in page
    assert 'gw_replica_state{replica="r0",state="half_open"} 0.0' in page


def test_a_counter_is_counted_and_its_replicas_are_bounded() -> None:
    telemetry = untraced()
    for number in range(300):
        telemetry.count(MALFORMED_EVENTS, f"r{number}")
    telemetry.count(HANDOVERS, "continued")
    page = telemetry.render()[0].decode()
    assert 'gw_handovers_total{result="continued"} 1.0' in page
    assert 'gw_malformed_events_total{replica="r0"} 1.0' in page
    assert 'gw_malformed_events_total{replica="other"} 44.0' in page


def test_each_configuration_is_one_series_and_the_one_before_is_gone() -> None:
    telemetry = untraced()
    for sha in ("aaa", "bbb", "bbb"):
        telemetry.configured(sha)
    telemetry.reloaded("ok")
    found = {name: value for name, value in samples(telemetry).items() if "config" in name}
    assert [value for name, value in found.items() if "bbb" in name] == [1]
    assert not [name for name in found if "aaa" in name]


def test_a_settled_call_is_handed_on_with_its_trace() -> None:
    kept: list[tuple[Call, Outcome, str | None]] = []
    telemetry = Telemetry(Settings(), tuple, lambda: 0.0, lambda *told: kept.append(told))
    call = a_call(traceparent=INCOMING)
    telemetry.started(call)
    telemetry.settled(call, COMPLETED)
    assert kept == [(call, COMPLETED, TRACE)]


def test_who_reaches_the_shared_records_and_what_was_lost_is_counted() -> None:
    telemetry = untraced()
    telemetry.records_shared(1)
    telemetry.records_dropped(3)
    telemetry.records_dropped(2)
    found = samples(telemetry)
    assert (found["gw_records_redis_up{}"], found["gw_records_dropped_total{}"]) == (1, 5)
    telemetry.records_shared(-1)
    assert samples(telemetry)["gw_records_redis_up{}"] == 0


def test_the_ledger_tells_of_its_backlog_by_changes() -> None:
    telemetry = untraced()
    for change in (5, -3):
        telemetry.change(LEDGER_BACKLOG, change)
    telemetry.change(LEDGER_LOST, 2)
    found = samples(telemetry)
    assert (found["gw_ledger_backlog{}"], found["gw_ledger_lost_total{}"]) == (2, 2)


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
