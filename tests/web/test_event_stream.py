"""A stream that never falls silent: when a comment goes out, and when it must not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.domain.sse import COMMENT
from gateway.web.event_stream import EventStream

EVENT = b"data: {}\n\n"
SOON = 0.01


class Client:
    """Remembers what it is sent; while `reads` is not set, sending waits."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.came = asyncio.Condition()
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        async with self.came:
            self.got.append(dict(message))
            self.came.notify_all()

    @property
    def bodies(self) -> list[bytes]:
        return [one["body"] for one in self.got if one["type"] == "http.response.body"]

    async def has(self, comments: int) -> None:
        async with asyncio.timeout(5), self.came:
            await self.came.wait_for(lambda: self.bodies.count(COMMENT) >= comments)


def always() -> bool:
    return True


async def test_silence_begins_the_response_with_a_comment_and_goes_on_with_more() -> None:
    client = Client()
    async with EventStream(client.send, SOON, always) as stream:
        await client.has(comments=3)
        assert stream.started
        await stream.begin([(b"x-late", b"1")])
        await stream.write(EVENT)
        await stream.end()
    start, *rest = client.got
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
    assert [one["type"] for one in rest] == ["http.response.body"] * len(rest)
    assert client.bodies[-2:] == [EVENT, b""]
    assert all(one.get("more_body") for one in rest[:-1])


async def test_without_silence_there_is_no_comment_and_the_headers_are_all_there() -> None:
    client = Client()
    async with EventStream(client.send, 60.0, always) as stream:
        await stream.begin([(b"x-gateway-replica", b"r0")])
        await stream.write(EVENT)
        await stream.end()
    assert (b"x-gateway-replica", b"r0") in client.got[0]["headers"]
    assert client.bodies == [EVENT, b""]


async def test_zero_seconds_turn_comments_off() -> None:
    client = Client()
    async with EventStream(client.send, 0.0, always):
        assert not asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    assert client.got == []


async def test_an_answer_that_will_be_no_stream_gets_no_comment() -> None:
    client, asked = Client(), asyncio.Event()

    def never() -> bool:
        asked.set()
        return False

    async with EventStream(client.send, SOON, never):
        await asyncio.wait_for(asked.wait(), 5)
    assert client.got == []


async def test_a_gap_in_the_middle_of_a_stream_is_filled_too() -> None:
    client = Client()
    async with EventStream(client.send, SOON, always) as stream:
        await stream.begin(())
        await stream.write(EVENT)
        await client.has(comments=1)
        await stream.write(EVENT)
    assert client.bodies[0] == EVENT
    assert COMMENT in client.bodies[1:]
    assert EVENT in client.bodies[2:]


@pytest.mark.parametrize("tail", [b"data: {}\r\n\r\n", b"data: {}\r\r", b"data: {}\n\n"])
async def test_a_comment_follows_an_event_whatever_its_line_ends(tail: bytes) -> None:
    client = Client()
    async with EventStream(client.send, SOON, always) as stream:
        await stream.begin(())
        await stream.write(tail)
        await client.has(comments=1)


async def test_no_comment_goes_into_the_middle_of_an_event() -> None:
    client = Client()
    async with EventStream(client.send, SOON, always) as stream:
        await stream.begin(())
        await stream.write(b"data: {")
        looked = asyncio.get_running_loop().time() + 5 * SOON
        while asyncio.get_running_loop().time() < looked:  # noqa: ASYNC110 - time has to pass
            await asyncio.sleep(SOON)
        assert client.bodies == [b"data: {"]
        await stream.write(b"}\n\n")
        await client.has(comments=1)
    assert b"".join(client.bodies[:2]) == EVENT


async def test_while_the_client_does_not_read_no_comment_is_piled_up() -> None:
    client = Client()
    async with EventStream(client.send, SOON, always) as stream:
        await stream.begin(())
        client.reads.clear()
        writing = asyncio.create_task(stream.write(EVENT))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10 * SOON):
                await client.has(comments=1)
        client.reads.set()
        await writing
    assert client.bodies == [EVENT]


async def test_an_event_waits_for_the_comment_that_is_on_its_way() -> None:
    client = Client()
    client.reads.clear()
    async with EventStream(client.send, SOON, always) as stream:
        async with asyncio.timeout(5):
            while not stream.started:  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(SOON)
        writing = asyncio.create_task(stream.write(EVENT))
        await asyncio.sleep(0)
        client.reads.set()
        await writing
    assert client.got[0]["type"] == "http.response.start"
    assert client.bodies[:2] == [COMMENT, EVENT]


async def test_leaving_ends_the_timer_and_the_comment() -> None:
    client = Client()
    client.reads.clear()
    before = asyncio.all_tasks()
    async with EventStream(client.send, SOON, always) as stream:
        async with asyncio.timeout(5):
            while not stream.started:  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(SOON)
    assert asyncio.all_tasks() == before
    assert client.got == []


async def test_a_chunk_touches_no_timer() -> None:
    """One timer for a stream of any length: a chunk only writes down when it went out."""
    client, loop = Client(), asyncio.get_running_loop()
    made = 0
    kept = loop.call_at

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal made
        made += 1
        return kept(*args, **kwargs)

    loop.call_at = counted  # type: ignore[method-assign]
    async with EventStream(client.send, 60.0, always) as stream:
        await stream.begin(())
        for _ in range(1000):
            await stream.write(EVENT)
    assert made == 1
