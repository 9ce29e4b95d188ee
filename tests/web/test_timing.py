"""Server-Timing says what is over by the time that it is sent, and no more."""

from __future__ import annotations

import re

import httpx
import pytest

from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT
from gateway.settings import Settings
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.otlp_sink import OtlpSink
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.timing import headers_of, server_timing

HI = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def a_call(*, stream: bool = False) -> Call:
    call = Call("c", CHAT, "m", {}, received=10.0, deadline=60.0, stream=stream)
    call.queue_seconds = 0.25
    return call


def test_before_a_replica_has_answered_only_the_queue_is_known() -> None:
    call = a_call()
    assert server_timing(call, 12.0) == "queue;dur=250.0"
    call.away.leave(10.5)
    assert server_timing(call, 12.0) == "queue;dur=250.0"


@pytest.mark.parametrize(("stream", "name"), [(True, "ttft"), (False, "total")])
def test_afterwards_the_time_with_replicas_and_that_until_now(stream: bool, name: str) -> None:
    call = a_call(stream=stream)
    call.away.leave(10.5)
    call.away.back(11.75)
    told = f"queue;dur=250.0, upstream;dur=1250.0, {name};dur=2000.0"
    assert server_timing(call, 12.0) == told


def test_what_policies_set_goes_out_with_it() -> None:
    call = a_call()
    call.reply_headers["x-mine"] = "1"
    assert headers_of(call) == {"x-mine": "1", "server-timing": "queue;dur=250.0"}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_names_its_trace_and_its_times(mock_vllm: MockVLLM, stream: bool) -> None:
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with OtlpSink() as sink:
        traced = Settings(telemetry={"otlp_endpoint": sink.endpoint})  # type: ignore[arg-type]
        with ServedGateway(fleet_on([mock_vllm.base_url], model="mock"), traced) as gateway:
            url, sent = f"{gateway.url}/v1/chat/completions", {"traceparent": parent}
            answer = httpx.post(url, json=HI | {"stream": stream}, headers=sent)
            refused = httpx.post(url, json={"model": "none"} | {"messages": []})
        sink.wait(3)
        [server] = [one for one in sink.spans if one.parent_id == "cd" * 8]
    assert answer.headers["traceparent"] == f"00-{'ab' * 16}-{server.span_id}-01"
    times = r"queue;dur=[\d.]+, upstream;dur=[\d.]+, (ttft|total);dur=[\d.]+"
    assert re.fullmatch(times, answer.headers["server-timing"])
    assert refused.headers["server-timing"] == "queue;dur=0.0"
    assert refused.headers["traceparent"]


def test_where_nothing_is_traced_no_trace_is_named(mock_vllm: MockVLLM) -> None:
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=HI)
    assert "traceparent" not in answer.headers
    assert answer.headers["server-timing"]
