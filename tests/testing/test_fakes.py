"""The fakes keep the promises of the ports that they stand for, and remember what they hear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest

from gateway.domain.call import Attempt, Outcome, Usage
from gateway.domain.endpoints import COMPLETIONS
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import (
    Counted,
    Fallback,
    Probe,
    Replica,
    Router,
    Telemetry,
    Tokens,
    Wire,
    WireError,
    WireResponse,
)
from gateway.domain.retry import Fault, fault_of, retry_after_seconds
from gateway.domain.sse import DONE, StreamWatch
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeProbe,
    FakeRouter,
    FakeTelemetry,
    FakeTokens,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
    usage_chunk,
)


async def send(wire: Wire, body: bytes | None = None) -> WireResponse:
    return await wire.send("POST", "http://r0.test/v1/x", headers={"a": "b"}, body=body)


def test_they_stand_for_the_ports() -> None:
    ports: tuple[Wire, Router, Telemetry, Tokens, Probe, WireResponse] = (
        FakeWire(),
        FakeRouter(),
        FakeTelemetry(),
        FakeTokens(),
        FakeProbe(),
        FakeAnswer(),
    )
    assert all(ports)


# ---- The wire ------------------------------------------------------------------------------------


async def test_a_wire_gives_its_answers_in_order_and_remembers_what_was_asked() -> None:
    first, second = plain("1"), plain("2")
    wire = FakeWire([first, second])
    assert [await send(wire, b'{"x":1}'), await send(wire)] == [first, second]
    assert wire.given == [first, second]
    assert (wire.sent[0].method, wire.sent[0].url) == ("POST", "http://r0.test/v1/x")
    assert (wire.sent[0].headers, wire.sent[0].body) == ({"a": "b"}, {"x": 1})
    assert wire.sent[1].body == {}


async def test_an_exception_in_the_script_is_raised_and_the_next_answer_comes_after_it() -> None:
    wire = FakeWire([WireError(Fault.BROKEN, "reset"), plain("after")])
    with pytest.raises(WireError, match="reset"):
        await send(wire)
    assert await (await send(wire)).read(1000)


async def test_a_script_that_has_run_out_looks_like_a_replica_that_is_gone() -> None:
    with pytest.raises(WireError) as caught:
        await send(FakeWire())
    assert caught.value.fault is Fault.CONNECT


async def test_an_answer_is_read_step_by_step() -> None:
    done: list[str] = []

    async def wait() -> None:
        done.append("waited")

    answer = FakeAnswer(steps=(b"a", wait, lambda: done.append("called"), b"b"))
    assert [piece async for piece in answer.chunks()] == [b"a", b"b"]
    assert done == ["waited", "called"]
    assert await FakeAnswer(steps=(b"a", b"b")).read(10) == b"ab"


async def test_an_error_in_the_steps_comes_after_the_bytes_before_it() -> None:
    seen = []
    chunks = FakeAnswer(steps=(b"a", WireError(Fault.BROKEN, "reset"))).chunks()
    seen.append(await anext(chunks))
    with pytest.raises(WireError, match="reset"):
        await anext(chunks)
    assert seen == [b"a"]


async def test_a_body_past_the_limit_is_an_error_as_on_a_real_wire() -> None:
    assert await FakeAnswer(steps=(b"abc",)).read(3) == b"abc"
    with pytest.raises(WireError) as caught:
        await FakeAnswer(steps=(b"ab", b"cd")).read(3)
    assert caught.value.fault is Fault.GARBAGE


async def test_everything_on_the_wire_gives_other_tasks_a_turn() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(count())
    response = await send(FakeWire([streamed("a", "b")]))
    seen = [piece async for piece in response.chunks()]
    task.cancel()
    assert turns > len(seen)


def test_how_an_answer_was_ended_is_remembered() -> None:
    kept, dropped = FakeAnswer(), FakeAnswer()
    kept.release()
    dropped.close()
    assert (kept.released, kept.closed) == (True, False)
    assert (dropped.released, dropped.closed) == (False, True)


async def test_a_plain_answer_is_openais() -> None:
    body = orjson.loads(await plain("hi", model="big").read(1000))
    assert body["choices"][0]["message"]["content"] == "hi"
    assert body["model"] == "big"
    assert Usage.read(body["usage"]) == Usage(5, 2)
    assert "usage" not in orjson.loads(await plain(usage=False).read(1000))


async def watched(answer: FakeAnswer) -> StreamWatch:
    watch = StreamWatch(hide_usage=False)
    async for piece in answer.chunks():
        watch.feed(piece)
    return watch


async def test_a_stream_is_one_that_the_watch_calls_complete() -> None:
    watch = await watched(streamed("he", "llo"))
    assert (watch.done, watch.finish_reason, watch.model) == (True, "stop", "served-m")
    assert watch.usage == Usage(5, 2)
    assert watch.malformed == 0


async def test_a_stream_may_lack_its_end() -> None:
    watch = await watched(streamed("he", finish=None))
    assert (watch.done, watch.finish_reason, watch.usage) == (True, "", None)
    assert not (await watched(streamed("he", done=False))).done
    assert streamed("he").steps[-1] == DONE


def test_single_events_are_whole() -> None:
    for event in (chunk("hi"), chunk(), chunk(finish="length", model="x"), usage_chunk(7, 3)):
        assert event.startswith(b"data: {")
        assert event.endswith(b"}\n\n")
    assert b'"finish_reason":"length"' in chunk(finish="length")
    assert b'"prompt_tokens":7' in usage_chunk(7, 3)


async def test_a_failing_answer_has_a_status_a_body_and_headers() -> None:
    answer = failing(429, b"slow down", retry_after="7")
    assert fault_of(answer.status, await answer.read(100)) is Fault.RATE_LIMITED
    assert retry_after_seconds(answer.headers["retry-after"], 0.0) == 7.0


# ---- The router ----------------------------------------------------------------------------------


async def test_a_router_picks_in_order_and_never_what_was_tried_or_cools() -> None:
    router = FakeRouter(a_replica("r0"), a_replica("r1"), a_replica("r2"))
    call = a_call()

    async def picked(*tried: str) -> str | None:
        replica = await router.pick(call, "m", tried)
        return replica.id if replica else None

    assert await picked() == "r0"
    assert await picked("r0") == "r1"
    router.cooling = {"r1"}
    assert await picked("r0") == "r2"
    assert await picked("r0", "r2") is None
    assert [replica.id for replica in router.replicas("m")] == ["r0", "r1", "r2"]
    assert [replica.id for replica in await router.healthy("m")] == ["r0", "r2"]


async def test_a_model_that_a_router_does_not_have_is_told() -> None:
    router = FakeRouter(a_replica("r0", "m"), a_replica("b0", "big"))
    assert router.models() == ("m", "big")
    assert router.replicas("nope") == ()
    with pytest.raises(ModelNotFound):
        await router.healthy("nope")


async def test_a_router_counts_loads_and_remembers_reports() -> None:
    router, call, replica = FakeRouter(), a_call(), a_replica()
    router.started(call, replica)
    router.started(call, replica)
    assert router.load == {"r0": 2}
    router.ended(call, replica, Fault.TIMEOUT)
    router.ended(call, replica, None, retry_after=1.0)
    await router.succeeded(call, replica, Usage(1, 2), 0.5)
    assert router.load == {"r0": 0}
    assert router.faults == [("r0", Fault.TIMEOUT), ("r0", None)]
    assert router.successes == [("r0", Usage(1, 2))]


@pytest.mark.parametrize("end", [0, 1])
def test_an_end_without_a_beginning_does_not_pass_for_one(end: int) -> None:
    router, call, replica = FakeRouter(), a_call(), a_replica()
    for _ in range(end):
        router.started(call, replica)
        router.ended(call, replica, None)
    with pytest.raises(AssertionError, match="r0"):
        router.ended(call, replica, None)


def test_fallbacks_are_for_faults_that_another_model_may_not_have() -> None:
    router = FakeRouter(fallbacks={"m": ("big",)})
    assert router.fallbacks("m", Fault.SERVER_ERROR) == (Fallback("big"),)
    assert router.fallbacks("m", Fault.REJECTED) == ()
    assert router.fallbacks("big", Fault.SERVER_ERROR) == ()


# ---- Tokens, telemetry, the clock ----------------------------------------------------------------


async def test_tokens_are_counted_alike_each_time_and_remembered() -> None:
    tokens = FakeTokens(1000)
    assert await tokens.window("m") == 1000
    assert await tokens.count_texts("m", ["", "a", "abcd", "abcde"]) == [
        Counted(count, exact=True) for count in (0, 1, 1, 2)
    ]
    messages = [{"role": "user", "content": "abcd"}, {"role": "assistant", "content": ""}]
    assert await tokens.count_messages("m", messages) == Counted(9, exact=True)
    await tokens.count_messages("m", messages, continue_final=True)
    assert tokens.texts == [["", "a", "abcd", "abcde"]]
    assert tokens.messages == [messages, messages]
    assert tokens.left_open == [False, True]


async def test_tokens_may_be_estimates_and_messages_dearer_than_their_parts() -> None:
    tokens = FakeTokens(exact=False, dearer=1.5)
    assert await tokens.count_texts("m", ["abcd"]) == [Counted(1, exact=False)]
    messages = [{"role": "user", "content": "abcd"}]
    assert await tokens.count_messages("m", messages) == Counted(8, exact=False)


def test_telemetry_remembers_all_that_it_is_told() -> None:
    telemetry, call, replica = FakeTelemetry(), a_call(), a_replica()
    call.traceparent = "00-a-b-01"
    telemetry.started(call)
    telemetry.verdict(call, "allowlist", "allowed", 0.1)
    probe = telemetry.attempt(call, replica, 1)
    probe.end(made := Attempt("r0", "ok", 0.2))
    telemetry.settled(call, outcome := Outcome())
    assert telemetry.calls == [call]
    assert telemetry.verdicts == [("allowlist", "allowed")]
    assert telemetry.probes == [probe]
    assert (probe.traceparent, probe.ended) == ("00-a-b-01", [made])
    assert telemetry.outcomes == [outcome]


def test_a_clock_moves_only_when_told_to() -> None:
    clock: Callable[[], float] = (fake := FakeClock(5.0))
    assert clock() == clock() == 5.0
    fake.now += 2
    assert clock() == 7.0


def test_a_call_begins_at_second_0_and_a_replica_is_not_on_the_network() -> None:
    call = a_call(stream=True, model="big", endpoint=COMPLETIONS, seconds=3.0)
    assert (call.model, call.body["model"], call.stream) == ("big", "big", True)
    assert call.body["stream"] is True
    assert (call.received, call.deadline, call.route) == (0.0, 3.0, "/v1/completions")
    replica: Replica = a_replica("r7", "big")
    assert (replica.id, replica.model, replica.upstream_model) == ("r7", "big", "served-big")
    assert replica.base_url == "http://r7.test/v1"
