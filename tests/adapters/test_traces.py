"""Spans reach a collector, and a collector that is down costs nobody anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from opentelemetry import trace

from gateway.adapters.spans import parse_traceparent
from gateway.adapters.traces import SHUTDOWN_SECONDS, Traces
from gateway.domain.call import Call, Outcome, OutcomeKind
from gateway.domain.endpoints import CHAT
from gateway.domain.ports import Replica
from gateway.testing.otlp_sink import OtlpSink

DONE = Outcome(OutcomeKind.COMPLETED, 200)


@dataclass(frozen=True)
class Settings:
    otlp_endpoint: str | None = None
    service_name: str = "vllm-gateway"
    console: bool = False
    sample_ratio: float = 1.0
    slow_s: float = 10.0
    genai_semconv: str = "both"


def a_call(received: float = 0.0) -> Call:
    return Call("r1", CHAT, "smol", {}, received=received, deadline=60.0)


def the_clock() -> float:
    return 0.0


@pytest.fixture
def mute_collector() -> Iterator[str]:
    """It accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    # With nobody there any more, what still waits for an answer ends.
    for thread in threading.enumerate():
        if thread.name in ("telemetry-shutdown", "OtelBatchSpanRecordProcessor"):
            thread.join(timeout=10)
            assert not thread.is_alive()


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_with_nowhere_to_go_no_span_is_made() -> None:
    assert Traces(Settings(), the_clock).begin(a_call(), None) is None


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
async def test_a_base_url_gets_the_path_of_otlp(path: str) -> None:
    with OtlpSink() as sink:
        traces = Traces(Settings(sink.endpoint + path), the_clock)
        begun = traces.begin(a_call(), None)
        assert begun is not None
        traces.finish(begun, DONE)
        await traces.aclose()
        [span] = sink.wait(1)
    assert sink.paths == {"/v1/traces"}
    assert span.resource["service.name"] == "vllm-gateway"
    assert span.resource["service.instance.id"]
    assert "gen-ai" in span.schema_url


async def test_a_span_begins_when_the_request_came_in() -> None:
    with OtlpSink() as sink:
        traces = Traces(Settings(sink.endpoint), lambda: 102.5)
        begun = traces.begin(a_call(received=100.0), None)
        assert begun is not None
        traces.finish(begun, DONE)
        await traces.aclose()
        [span] = sink.wait(1)
    assert 2.5e9 <= span.end_ns - span.start_ns < 3.5e9


async def test_no_span_is_sent_of_what_is_not_sampled() -> None:
    with OtlpSink() as sink:
        traces = Traces(Settings(sink.endpoint, sample_ratio=0.0), the_clock)
        begun = traces.begin(a_call(), None)
        assert begun is not None
        traces.finish(begun, DONE)
        assert not begun.origin.sampled
        await traces.aclose()
        assert sink.spans == []


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.TIMEOUT, OutcomeKind.TRUNCATED])
async def test_what_ended_badly_is_sent_whatever_share_is_kept(kind: OutcomeKind) -> None:
    with OtlpSink() as sink:
        traces = Traces(Settings(sink.endpoint, sample_ratio=0.0), the_clock)
        begun = traces.begin(a_call(), None)
        assert begun is not None
        assert traces.finish(begun, Outcome(kind, 503))
        await traces.aclose()
        assert [span.name for span in sink.wait(1)] == ["POST /v1/chat/completions"]


async def test_what_nobody_takes_is_counted_and_holds_a_bounded_room(closed_port: str) -> None:
    lost: list[int] = []
    traces = Traces(Settings(closed_port), the_clock, lost.append)
    assert (traces.pending, traces.capacity) == (0, 2048)
    finish_many(traces, 5000)
    assert traces.pending <= traces.capacity
    await traces.aclose()
    assert sum(lost) <= 5000
    assert len(lost) > 2000  # one for each that found no room; the others by their batch


async def test_the_collector_hears_of_the_clients_span_and_its_state() -> None:
    parent = parse_traceparent(f"00-{'ab' * 16}-{'cd' * 8}-01", "vendor=x")
    with OtlpSink() as sink:
        traces = Traces(Settings(sink.endpoint), the_clock)
        begun = traces.begin(a_call(), parent)
        assert begun is not None
        assert begun.attempt(Replica("r", "m", "m", "http://h:1/v1"), 1).origin.state == "vendor=x"
        traces.finish(begun, DONE)
        await traces.aclose()
        server = sink.wait(3)[0]
    assert (server.trace_id, server.parent_id) == ("ab" * 16, "cd" * 8)


async def test_the_console_prints_a_line_for_each_span(capsys: pytest.CaptureFixture[str]) -> None:
    traces = Traces(Settings(console=True), the_clock)
    begun = traces.begin(a_call(), None)
    assert begun is not None
    traces.finish(begun, DONE)
    await traces.aclose()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert '"name": "POST /v1/chat/completions"' in printed.err
    assert printed.err.count("\n") == 1


async def test_no_global_provider_is_set() -> None:
    before = trace.get_tracer_provider()
    traces = Traces(Settings(console=True), the_clock)
    await traces.aclose()
    assert trace.get_tracer_provider() is before


async def test_closing_twice_is_as_good_as_once() -> None:
    traces = Traces(Settings(console=True), the_clock)
    await traces.aclose()
    await traces.aclose()
    assert traces.begin(a_call(), None) is None


async def test_a_refusing_collector_delays_nothing(closed_port: str) -> None:
    traces = Traces(Settings(closed_port), the_clock)
    finish_many(traces, 200)
    began = time.monotonic()
    await traces.aclose()
    assert time.monotonic() - began < SHUTDOWN_SECONDS


async def test_a_mute_collector_holds_up_the_end_for_three_seconds_at_most(
    mute_collector: str,
) -> None:
    traces = Traces(Settings(mute_collector), the_clock)
    # More than one batch, each of which waits 2 s for an answer.
    finish_many(traces, 1200)
    began = time.monotonic()
    await traces.aclose()
    assert 1.0 < time.monotonic() - began < SHUTDOWN_SECONDS + 0.7


def finish_many(traces: Traces, count: int) -> None:
    """Each within what a request could bear, though nobody takes the spans."""
    began = time.process_time()
    for _ in range(count):
        begun = traces.begin(a_call(), None)
        assert begun is not None
        traces.finish(begun, DONE)
    assert (time.process_time() - began) / count < 0.005
