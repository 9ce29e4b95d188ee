"""A stream to its end: what counts as one, what breaks it, and who is asked then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.domain.call import Usage
from gateway.domain.errors import LLMError, LLMTimeoutError, StreamTruncated
from gateway.domain.limits import Timeouts
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault
from gateway.domain.sse import DONE
from gateway.flow.attempt import Attempts
from gateway.flow.lease import Opened
from gateway.flow.stream import Broken
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeRouter,
    FakeTelemetry,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    streamed,
    usage_chunk,
)


def silent() -> object:
    return asyncio.Event().wait()


async def opened_on(*steps: Any, **body: Any) -> Opened:
    call = a_call(stream=True)
    call.body |= body
    wire = FakeWire([FakeAnswer(steps=steps)])
    times = Timeouts(idle=0.02)
    made = Attempts(FakeRouter(), wire, FakeTelemetry(), times, FakeClock())
    return await made.make(call, a_replica(), 1)


async def read(opened: Opened) -> bytes:
    return b"".join([piece async for piece in opened.reply.chunks])


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ((WireError(Fault.BROKEN, "reset"),), Fault.BROKEN),
        ((WireError(Fault.CONNECT, "reset"),), Fault.CONNECT),
        ((silent,), Fault.TIMEOUT),
        ((), Fault.TRUNCATED),
        ((DONE,), Fault.TRUNCATED),
        ((b'data: {"error":{"message":"dead"}}\n\n',), Fault.SERVER_ERROR),
        ((b'data: {"error":{"message":"bad","code":400}}\n\n',), Fault.REJECTED),
        ((b"data: nonsense\n\n" * 8, silent), Fault.GARBAGE),
        ((b"data: {" * 3_000_000,), Fault.GARBAGE),
    ],
    ids=["reset", "refused", "stall", "cut", "done", "error", "error 400", "babble", "endless"],
)
async def test_each_way_to_break_has_its_fault(steps: tuple[Any, ...], fault: Fault) -> None:
    opened = await opened_on(chunk("a"), *steps)
    with pytest.raises(LLMError):
        await read(opened)
    assert opened.fault is fault
    assert not opened.reply.complete
    await opened.end()


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (DONE, chunk("more")),
        (WireError(Fault.BROKEN, "reset"),),
        (silent,),
        (b'data: {"error":{"message":"dead"}}\n\n',),
    ],
    ids=["closed", "done", "reset", "stall", "error"],
)
async def test_an_answer_that_has_finished_is_complete_whatever_follows(
    steps: tuple[Any, ...],
) -> None:
    opened = await opened_on(chunk("a"), chunk(finish="stop"), *steps)
    assert (await read(opened)).endswith(DONE)
    assert (opened.reply.complete, opened.reply.finish_reason) == (True, "stop")
    await opened.end()


async def test_two_answers_of_which_one_has_finished_are_not_complete() -> None:
    opened = await opened_on(chunk("a"), chunk(finish="stop"), n=2)
    with pytest.raises(StreamTruncated):
        await read(opened)
    await opened.end()


async def test_a_rescue_puts_another_stream_in_the_place_of_a_broken_one() -> None:
    opened = await opened_on(chunk("a"), WireError(Fault.BROKEN, "reset"))
    other = await opened_on(chunk("b"), chunk(finish="stop"), usage_chunk(9, 9))
    told: list[Broken] = []

    async def rescue(now: Opened, broken: Broken) -> bytes | None:
        told.append(broken)
        assert now.delivered.held == len(chunk("a"))
        now.stream = other.stream
        return None

    opened.rescue = rescue
    assert await read(opened) == chunk("a") + chunk("b") + chunk(finish="stop") + DONE
    assert [broken.fault for broken in told] == [Fault.BROKEN]
    assert opened.reply.usage is not None
    assert opened.own_usage is not None
    await opened.end()
    await other.end()


async def test_a_rescue_may_know_that_the_answer_was_whole() -> None:
    opened = await opened_on(chunk("a"), WireError(Fault.BROKEN, "reset"))

    async def rescue(now: Opened, broken: Broken) -> bytes | None:
        now.reply.finish_reason = "length"
        return b"data: {}\n\n"

    opened.rescue = rescue
    assert await read(opened) == chunk("a") + b"data: {}\n\n" + DONE
    assert (opened.reply.complete, opened.reply.finish_reason) == (True, "length")
    await opened.end()


async def test_nobody_is_asked_to_go_on_past_the_deadline() -> None:
    opened = await opened_on(chunk("a"), silent)
    opened.lease.call.deadline = 0.01

    async def rescue(now: Opened, broken: Broken) -> bytes | None:
        raise AssertionError("asked")

    opened.rescue = rescue
    with pytest.raises(LLMTimeoutError):
        await read(opened)
    await opened.end()


async def test_what_was_used_so_far_is_known_of_a_stream_that_is_left() -> None:
    usage = chunk("a").replace(b'"choices"', b'"usage":{"prompt_tokens":3},"choices"')
    opened = await opened_on(chunk("x"), usage, silent)
    chunks = opened.reply.chunks
    await anext(chunks)
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]
    assert opened.reply.usage is not None
    await opened.end()


async def test_what_a_running_stream_has_used_is_known_by_its_count_else_by_its_pieces() -> None:
    counted = chunk("b").replace(
        b'"choices"', b'"usage":{"prompt_tokens":3,"completion_tokens":70},"choices"'
    )
    opened = await opened_on(chunk("a"), counted, silent)
    chunks, progress = opened.reply.chunks, opened.reply.progress
    await anext(chunks)
    assert progress() == Usage(completion=1, estimated=True)
    await anext(chunks)
    assert progress() == Usage(prompt=3, completion=70)
    await chunks.aclose()  # type: ignore[attr-defined]
    await opened.end()


async def test_a_healthy_stream_asks_nobody() -> None:
    opened = await opened_on(*streamed("a", "b").steps)
    assert (await read(opened)).endswith(DONE)
    assert opened.delivered.text == "", "nothing was parsed"
    await opened.end()


async def test_a_stream_of_a_replica_that_goes_down_is_not_waited_for_until_it_is_idle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.flow.lease.LAST_SECONDS", 0.02)
    times, router = Timeouts(idle=60.0), FakeRouter()
    wire = FakeWire([FakeAnswer(steps=(chunk("a"), silent))])
    made = Attempts(router, wire, FakeTelemetry(), times, FakeClock())
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    reading = asyncio.create_task(read(opened))
    await asyncio.sleep(0)
    (down,) = router.watchers["r0"]
    await asyncio.sleep(0)
    down()
    async with asyncio.timeout(5):
        with pytest.raises(LLMTimeoutError, match="down"):
            await reading
    assert opened.fault is Fault.TIMEOUT


async def test_one_that_goes_down_while_nothing_is_awaited_has_its_second_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.flow.stream.LAST_SECONDS", 0.02)
    router = FakeRouter()
    wire = FakeWire([FakeAnswer(steps=(chunk("a"), chunk("b"), silent))])
    made = Attempts(router, wire, FakeTelemetry(), Timeouts(idle=0.5), FakeClock())
    opened = await made.make(a_call(stream=True), a_replica(), 1)
    (down,) = router.watchers["r0"]
    down()
    with pytest.raises(LLMTimeoutError, match=r"no chunk for 0\.5 s"):
        await read(opened)
    assert not opened.lease.hurried, "it has said something since"
