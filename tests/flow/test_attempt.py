"""One attempt: what it sends, how long it waits, and that its load is given back exactly once."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.domain.errors import LLMTimeoutError
from gateway.domain.limits import Timeouts
from gateway.domain.ports import Replica, WireError
from gateway.domain.retry import Fault
from gateway.flow.attempt import AttemptFailed, Attempts, error_in_answer
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeRouter,
    FakeTelemetry,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    plain,
    streamed,
)


def attempts(
    *answers: FakeAnswer | BaseException, timeouts: Timeouts | None = None
) -> tuple[Attempts, FakeRouter, FakeWire, FakeTelemetry]:
    router, wire, telemetry = FakeRouter(), FakeWire(answers), FakeTelemetry()
    made = Attempts(router, wire, telemetry, timeouts or Timeouts(), FakeClock())
    return made, router, wire, telemetry


async def test_a_trace_goes_on_to_the_replica() -> None:
    made, _, wire, _ = attempts(plain())
    call = a_call()
    call.traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    opened = await made.make(call, a_replica(), 1)
    await opened.end()
    assert wire.sent[0].headers["traceparent"] == call.traceparent
    assert "tracestate" not in wire.sent[0].headers


async def test_the_state_of_other_tracers_goes_with_it() -> None:
    made, _, wire, _ = attempts(plain(), plain())
    call = a_call()
    call.tracestate = "vendor=1"
    await (await made.make(call, a_replica(), 1)).end()
    assert "tracestate" not in wire.sent[0].headers, "without a traceparent it says nothing"
    call.traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    await (await made.make(call, a_replica(), 2)).end()
    assert wire.sent[1].headers["tracestate"] == "vendor=1"


async def test_an_answer_is_known_by_its_own_id() -> None:
    choice = {"index": 0, "delta": {"content": "one"}, "message": {"content": "one"}}
    body = orjson.dumps({"id": "chatcmpl-1", "model": "m", "choices": [choice]})
    for stream, step in ((False, body), (True, b"data: " + body + b"\n\n")):
        made, _, _, _ = attempts(FakeAnswer(steps=(step,)))
        opened = await made.make(a_call(stream=stream), a_replica(), 1)
        assert opened.reply.answer_id == "chatcmpl-1"
        await opened.end()
    made, _, _, _ = attempts(streamed("one"))
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    assert opened.reply.answer_id == ""
    await opened.end()


async def test_a_slow_first_event_is_a_timeout() -> None:
    silent = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
    made, router, _, telemetry = attempts(silent, timeouts=Timeouts(first_token=0.01))
    with pytest.raises(AttemptFailed) as caught:
        await made.make(a_call(stream=True), a_replica(), 1)
    assert caught.value.fault is Fault.TIMEOUT
    assert silent.closed
    assert router.faults == [("r0", Fault.TIMEOUT)]
    assert telemetry.probes[0].ended[0].result == "timeout"


async def test_the_replicas_own_stream_timeout_counts_for_streams() -> None:
    silent = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
    made, *_ = attempts(silent)
    quick = Replica("r0", "m", "up", "http://r.test/v1", timeout=50.0, stream_timeout=0.01)
    with pytest.raises(AttemptFailed) as caught:
        await made.make(a_call(stream=True), quick, 1)
    assert caught.value.fault is Fault.TIMEOUT


async def test_a_stall_in_the_middle_ends_the_stream_and_blames_the_replica() -> None:
    stalled = FakeAnswer(steps=(chunk("he"), lambda: asyncio.Event().wait()))
    made, router, *_ = attempts(stalled, timeouts=Timeouts(idle=0.01))
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    with pytest.raises(LLMTimeoutError):
        async for _ in opened.reply.chunks:
            pass
    await opened.end()
    assert router.faults == [("r0", Fault.TIMEOUT)]


async def test_the_deadline_of_the_call_ends_a_stream_and_blames_nobody() -> None:
    slow = FakeAnswer(steps=(chunk("he"), lambda: asyncio.Event().wait()))
    made, router, *_ = attempts(slow)
    opened = await made.make(a_call(stream=True, seconds=0.01), a_replica(), 1)
    with pytest.raises(LLMTimeoutError):
        async for _ in opened.reply.chunks:
            pass
    await opened.end()
    assert router.faults == [("r0", None)]


async def test_ending_twice_gives_the_load_back_once() -> None:
    made, router, *_ = attempts(streamed("x"))
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    await opened.end()
    await opened.end()
    assert router.load == {"r0": 0}
    assert len(router.faults) == 1


async def test_a_connection_that_stays_open_after_done_does_not_hold_the_client() -> None:
    done = streamed("x")
    open_end = FakeAnswer(steps=(*done.steps, lambda: asyncio.Event().wait()))
    made, *_ = attempts(open_end)
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    async with asyncio.timeout(5):
        seen = b"".join([piece async for piece in opened.reply.chunks])
    assert seen.endswith(b"data: [DONE]\n\n")
    assert opened.reply.complete


@pytest.mark.parametrize(
    "body",
    [(b"x" * 100_000,), (b'{"error":', WireError(Fault.BROKEN, "reset"))],
    ids=["too long", "cut"],
)
async def test_a_4xx_is_the_clients_mistake_also_where_its_body_cannot_be_read(
    body: tuple[bytes | BaseException, ...],
) -> None:
    made, router, *_ = attempts(FakeAnswer(status=400, steps=body))
    with pytest.raises(AttemptFailed) as caught:
        await made.make(a_call(), a_replica(), 1)
    assert (caught.value.fault, caught.value.status) == (Fault.REJECTED, 400)
    assert router.faults == [("r0", None)], "the replica is not to blame"


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip"])
async def test_a_packed_stream_is_garbage_even_where_its_bytes_look_like_an_event(
    coding: str,
) -> None:
    headers = {"content-encoding": coding}
    made, router, *_ = attempts(FakeAnswer(steps=(b"\x1f\x8b\n:#\x08\xee\n\n",), headers=headers))
    with pytest.raises(AttemptFailed, match=coding) as caught:
        await made.make(a_call(stream=True), a_replica(), 1)
    assert caught.value.fault is Fault.GARBAGE
    assert router.faults == [("r0", Fault.GARBAGE)]


async def test_an_answer_that_says_it_is_not_packed_is_taken() -> None:
    answer = plain()
    answer.headers = {"content-encoding": "Identity"}
    made, *_ = attempts(answer)
    opened = await made.make(a_call(), a_replica(), 1)
    await opened.end()
    assert opened.reply.complete


@pytest.mark.parametrize(
    ("error", "fault", "status"),
    [
        ({"message": "too long: maximum context length", "code": 400}, Fault.CONTEXT_WINDOW, 400),
        ({"message": "bad", "code": 400}, Fault.REJECTED, 400),
        ({"message": "dead", "code": 500}, Fault.SERVER_ERROR, 500),
        ({"message": "dead", "code": "internal"}, Fault.SERVER_ERROR, 500),
        ("dead", Fault.SERVER_ERROR, 500),
    ],
)
def test_an_error_inside_a_200_counts_as_the_status_it_names(
    error: object, fault: Fault, status: int
) -> None:
    failed = error_in_answer(error)
    assert (failed.fault, failed.status) == (fault, status)


async def test_a_model_may_have_a_limit_of_its_own_for_its_first_token() -> None:
    silent = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
    made, *_ = attempts(silent, timeouts=Timeouts(first_token_by_model={"m": 0.01}))
    with pytest.raises(AttemptFailed) as caught:
        await made.make(a_call(stream=True), a_replica(), 1)
    assert caught.value.fault is Fault.TIMEOUT


async def test_a_plain_answer_is_given_all_of_the_time_even_where_there_are_others() -> None:
    late = asyncio.Event()
    asyncio.get_running_loop().call_later(0.06, late.set)
    answer = FakeAnswer(steps=(late.wait, *plain().steps))
    made, *_ = attempts(answer, timeouts=Timeouts(total=0.1))
    opened = await made.make(a_call(), a_replica(), 1, others=True)
    await opened.end()


async def test_a_later_attempt_bears_another_request_id() -> None:
    made, _, wire, _ = attempts(plain(), plain())
    for number in (1, 2):
        await (await made.make(a_call(), a_replica(), number)).end()
    assert [sent.headers["x-request-id"] for sent in wire.sent] == ["req-1", "req-1-2"]
