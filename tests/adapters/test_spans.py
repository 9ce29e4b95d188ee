"""A call's spans are a true tree: right parents, right names, ended once, with nothing secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count

import pytest

from gateway.adapters.spans import CallTrace, Origin, parse_traceparent, traceparent
from gateway.adapters.traces import Traces
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.domain.step import Step
from gateway.testing.otlp_sink import OtlpSink, SunkSpan

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
CANARY = "Canary" + "0123456789"

REPLICA_A = Replica("a", "smol", "org/smol", "http://10.0.0.1:8001/v1", api_key=CANARY)
REPLICA_B = Replica("b", "smol", "org/smol", "https://b.internal/v1", api_key=CANARY)
COMPLETED = Outcome(
    OutcomeKind.COMPLETED,
    200,
    usage=Usage(31, 8, 16),
    replica="b",
    served_model="org/smol",
    answer_id="chatcmpl-r1",
    finish_reason="stop",
    attempts=(Attempt("a", Fault.CONNECT, 0.1), Attempt("b", "ok", 0.5, 200)),
    first_token_seconds=0.25,
    queue_seconds=0.01,
)


@dataclass(frozen=True)
class Settings:
    otlp_endpoint: str
    service_name: str = "vllm-gateway"
    console: bool = False
    sample_ratio: float = 1.0
    slow_s: float = 10.0
    genai_semconv: str = "latest"


def a_call(model: str = "smol") -> Call:
    body = {"messages": [{"role": "user", "content": CANARY}], "max_tokens": 64}
    call = Call("r1", CHAT, model, body, received=0.0, deadline=60.0, stream=True)
    call.credential = CANARY
    call.caller = Caller("red", "key-7")
    call.prompt = PromptRef("code/explain", "3", "abc")
    return call


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as open_sink:
        yield open_sink


Walk = Callable[[CallTrace], Outcome]


async def record(
    sink: OtlpSink, walk: Walk, call: Call, parent: Origin | None = None, semconv: str = "latest"
) -> list[SunkSpan]:
    """The spans of one call, as the collector got them; each look at the clock is a millisecond
    after the one before."""
    ticks = count()
    settings = Settings(sink.endpoint, genai_semconv=semconv)
    traces = Traces(settings, lambda: next(ticks) / 1000)
    begun = traces.begin(call, parent)
    assert begun is not None
    traces.finish(begun, walk(begun))
    await traces.aclose()
    return sink.spans


def retried(headers: list[str]) -> Walk:
    """The first replica is down, the second answers; the headers that went out are kept."""

    def walk(trace: CallTrace) -> Outcome:
        trace.verdict("allowlist", "allow", 0.001)
        for number, replica in enumerate((REPLICA_A, REPLICA_B), start=1):
            attempt = trace.attempt(replica, number)
            headers.append(traceparent(attempt.origin))
            attempt.end(COMPLETED.attempts[number - 1])
        return COMPLETED

    return walk


async def test_the_spans_are_a_tree_under_the_clients_own(sink: OtlpSink) -> None:
    headers: list[str] = []
    parent = parse_traceparent(f"00-{TRACE}-{SPAN}-01")
    spans = await record(sink, retried(headers), a_call(), parent)
    assert len(spans) == 5
    [server] = sink.named("POST /v1/chat/completions")
    [policy] = sink.named("policy allowlist")
    [inference] = sink.named("chat smol")
    first, second = sink.named("POST")
    assert {span.trace_id for span in spans} == {TRACE}
    assert (server.parent_id, server.kind) == (SPAN, "SERVER")
    assert (policy.parent_id, policy.kind) == (server.span_id, "INTERNAL")
    assert (inference.parent_id, inference.kind) == (server.span_id, "CLIENT")
    assert (first.parent_id, first.kind) == (inference.span_id, "CLIENT")
    assert (second.parent_id, second.kind) == (inference.span_id, "CLIENT")
    assert headers == [f"00-{TRACE}-{span.span_id}-01" for span in (first, second)]
    assert [span for span in spans if span.error] == [first]
    assert_inside(server, inference)
    assert_inside(inference, second)
    assert first.end_ns <= second.start_ns


def assert_inside(outer: SunkSpan, inner: SunkSpan) -> None:
    assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns


async def test_the_spans_say_what_happened_and_no_more(sink: OtlpSink) -> None:
    await record(sink, retried([]), a_call())
    [server] = sink.named("POST /v1/chat/completions")
    [inference] = sink.named("chat smol")
    first, second = sink.named("POST")
    assert server.parent_id == ""
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "url.path": "/v1/chat/completions",
        "http.response.status_code": 200,
        "gw.request_id": "r1",
        "gw.outcome": "completed",
        "gw.team": "red",
        "gw.key_id": "key-7",
        "gw.attempts": 2,
        "gw.queue_seconds": 0.01,
    }
    assert inference.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "smol",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.prompt.name": "code/explain",
        "gen_ai.prompt.version": "3",
        "gw.prompt.sha": "abc",
        "gen_ai.response.id": "chatcmpl-r1",
        "gen_ai.response.model": "org/smol",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 31,
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.cache_read.input_tokens": 16,
        "server.address": "b.internal",
        "server.port": 443,
    }
    assert first.attributes == {
        "http.request.method": "POST",
        "server.address": "10.0.0.1",
        "server.port": 8001,
        "gw.replica": "a",
        "error.type": "connect_error",
    }
    assert second.attributes == {
        "http.request.method": "POST",
        "server.address": "b.internal",
        "server.port": 443,
        "gw.replica": "b",
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
    }
    assert CANARY not in str(sink.spans)


@pytest.mark.parametrize(
    ("outcome", "error_type", "server_fails"),
    [
        (Outcome(OutcomeKind.CANCELLED, 499), "client_disconnected", False),
        (Outcome(OutcomeKind.TRUNCATED, 502), "truncated", True),
        (Outcome(OutcomeKind.TIMEOUT, 504), "timeout", True),
        (Outcome(OutcomeKind.FAILED, 503), "503", True),
        (Outcome(OutcomeKind.REFUSED, 403), "403", False),
    ],
)
async def test_what_did_not_complete_ends_every_span_as_what_it_was(
    sink: OtlpSink, outcome: Outcome, error_type: str, server_fails: bool
) -> None:
    def walk(trace: CallTrace) -> Outcome:
        trace.attempt(REPLICA_A, 1)
        return replace(outcome, finish_reason="stop")

    assert len(await record(sink, walk, a_call())) == 3
    [server] = sink.named("POST /v1/chat/completions")
    [inference] = sink.named("chat smol")
    [attempt] = sink.named("POST")
    assert server.error is server_fails
    assert inference.attributes["gen_ai.response.finish_reasons"] == ["error"]
    assert "gen_ai.usage.input_tokens" not in inference.attributes
    for span in (inference, attempt):
        assert span.error
        assert span.attributes["error.type"] == error_type


async def test_an_attempt_ends_when_its_result_is_known(sink: OtlpSink) -> None:
    def walk(trace: CallTrace) -> Outcome:
        trace.attempt(REPLICA_A, 1).end(Attempt("a", "ok", 0.1))
        trace.attempt(REPLICA_B, 2).end(Attempt("b", "ok", 0.1))
        return COMPLETED

    await record(sink, walk, a_call())
    first, second = sink.named("POST")
    assert first.end_ns <= second.start_ns


async def test_an_attempt_is_ended_once(sink: OtlpSink) -> None:
    def walk(trace: CallTrace) -> Outcome:
        attempt = trace.attempt(REPLICA_A, 1)
        attempt.end(Attempt("a", "timeout", 0.1))
        attempt.end(Attempt("a", "server_error", 0.1))
        return Outcome(OutcomeKind.FAILED, 503)

    await record(sink, walk, a_call())
    [attempt] = sink.named("POST")
    assert attempt.attributes["error.type"] == "timeout"


async def test_a_call_that_reaches_no_replica_has_no_inference(sink: OtlpSink) -> None:
    def walk(trace: CallTrace) -> Outcome:
        trace.verdict("allowlist", "refuse", 0.5)
        return Outcome(OutcomeKind.REFUSED, 403)

    spans = await record(sink, walk, a_call())
    assert {span.name for span in spans} == {"POST /v1/chat/completions", "policy allowlist"}
    [policy] = sink.named("policy allowlist")
    assert policy.end_ns - policy.start_ns == pytest.approx(0.5e9)
    assert policy.attributes == {"gw.policy.decision": "refuse"}


async def test_a_body_that_no_collector_could_take_does_not_lose_the_trace(sink: OtlpSink) -> None:
    call = a_call(model="smol\ud800" + "x" * 10_000)
    call.id = "r\ud800"
    call.body["seed"] = 2**70
    assert len(await record(sink, retried([]), call)) == 5
    [inference] = [span for span in sink.spans if span.name.startswith("chat smol?x")]
    assert len(inference.name) < 300


async def test_steps_before_a_replica_is_asked_are_spans_with_their_facts(sink: OtlpSink) -> None:
    call = a_call()
    call.stepped(Step("context.build", 0.0, 0.25, {"gw.context.parts": 4}))
    call.stepped(Step("render_prompt code/explain", 0.25, 0.5, error="prompt_failed"))
    await record(sink, retried([]), call)
    [server] = sink.named("POST /v1/chat/completions")
    [built], [rendered] = sink.named("context.build"), sink.named("render_prompt code/explain")
    assert [one.parent_id for one in (built, rendered)] == [server.span_id] * 2
    assert (built.kind, built.attributes, built.error) == (
        "INTERNAL",
        {"gw.context.parts": 4},
        False,
    )
    assert built.end_ns - built.start_ns == pytest.approx(0.25e9)
    assert (rendered.attributes, rendered.error) == ({"error.type": "prompt_failed"}, True)


async def test_one_that_another_attempt_has_overtaken_is_no_error(sink: OtlpSink) -> None:
    def walk(trace: CallTrace) -> Outcome:
        slow, fast = trace.attempt(REPLICA_A, 1), trace.attempt(REPLICA_B, 2)
        fast.end(Attempt("b", "ok", 0.1, 200))
        slow.end(Attempt("a", "cancelled", 0.1))
        return replace(
            COMPLETED, attempts=(Attempt("b", "ok", 0.1), Attempt("a", "cancelled", 0.1))
        )

    await record(sink, walk, a_call())
    assert [span.error for span in sink.spans] == [False] * 4


async def test_who_leaves_is_named_on_the_attempt_too_and_what_was_used_is_exact(
    sink: OtlpSink,
) -> None:
    def walk(trace: CallTrace) -> Outcome:
        trace.attempt(REPLICA_A, 1).end(Attempt("a", "cancelled", 0.1, 200))
        return Outcome(OutcomeKind.CANCELLED, 499, usage=Usage(31, 3))

    await record(sink, walk, a_call())
    [attempt], [inference] = sink.named("POST"), sink.named("chat smol")
    assert attempt.attributes["error.type"] == "client_disconnected"
    assert inference.attributes["gen_ai.usage.output_tokens"] == 3
    assert inference.attributes["gen_ai.response.finish_reasons"] == ["error"]


async def test_a_guess_is_marked_and_not_told_as_usage(sink: OtlpSink) -> None:
    guess = replace(COMPLETED, usage=Usage(31, 8, estimated=True))
    await record(sink, lambda trace: (trace.attempt(REPLICA_A, 1), guess)[1], a_call())
    [inference] = sink.named("chat smol")
    assert inference.attributes["gw.usage.estimated"] is True
    assert not [name for name in inference.attributes if name.startswith("gen_ai.usage")]


@pytest.mark.parametrize(
    ("semconv", "names", "schema"),
    [
        ("latest", {"gen_ai.prompt.version"}, "gen-ai-dev/1.42.0-dev"),
        ("v1_41", {"gw.prompt.version"}, "schemas/1.41.0"),
        ("both", {"gen_ai.prompt.version", "gw.prompt.version"}, "gen-ai-dev/1.42.0-dev"),
    ],
)
async def test_the_names_are_of_the_convention_that_is_set(
    sink: OtlpSink, semconv: str, names: set[str], schema: str
) -> None:
    await record(sink, retried([]), a_call(), semconv=semconv)
    [inference] = sink.named("chat smol")
    assert {name for name in inference.attributes if name.endswith("prompt.version")} == names
    assert inference.schema_url.endswith(schema)


async def test_what_the_client_asks_for_is_told_in_numbers_and_known_words(sink: OtlpSink) -> None:
    call = a_call()
    call.body |= {"temperature": 0.5, "n": 2, "reasoning_effort": "low", "stop": [CANARY]}
    call.body["response_format"] = {"type": "json_schema", "json_schema": {"name": CANARY}}
    await record(sink, retried([]), call)
    [inference] = sink.named("chat smol")
    assert inference.attributes.items() >= {
        ("gen_ai.request.temperature", 0.5),
        ("gen_ai.request.choice.count", 2),
        ("gen_ai.request.reasoning.level", "low"),
        ("gen_ai.output.type", "json"),
    }
    assert CANARY not in str(sink.spans)


async def test_a_trace_that_the_client_does_not_sample_is_not_sent_but_goes_on(
    sink: OtlpSink,
) -> None:
    headers: list[str] = []
    parent = parse_traceparent(f"00-{TRACE}-{SPAN}-00")
    assert await record(sink, retried(headers), a_call(), parent) == []
    for header in headers:
        assert header
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", header)


@pytest.mark.parametrize("flags", ["00", "01"])
def test_a_good_header_goes_out_as_it_came_in(flags: str) -> None:
    header = f"00-{TRACE}-{SPAN}-{flags}"
    context = parse_traceparent(header)
    assert context is not None
    assert traceparent(context) == header


def test_a_header_of_a_later_version_is_spoken_back_in_ours() -> None:
    context = parse_traceparent(f"cc-{TRACE}-{SPAN}-03-what-the-future-holds")
    assert context is not None
    assert traceparent(context) == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\r\nx-evil: 1",
    ],
)
def test_a_bad_header_is_ignored(header: str | None) -> None:
    assert parse_traceparent(header) is None
