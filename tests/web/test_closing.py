"""Between SIGTERM and the end: who is still let in, who may finish, who is cut, and how."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.web.closing import Closing, ClosingDoor, signals
from gateway.web.connection import was_cut

Body = Callable[[Send], Awaitable[None]]


async def answers(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


class House:
    """An application behind the door, whose requests do what the test says."""

    def __init__(self, *, drain: float = 0.0, grace: float = 10.0) -> None:
        self.closing = Closing(drain=drain, grace=grace)
        self.stopped = asyncio.Event()
        self.body: Body = answers
        self.door = ClosingDoor(self._app, self.closing)
        self.scopes: list[Scope] = []

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await self.body(send)

    async def ask(self, path: str = "/v1/chat/completions") -> list[Message]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError("nobody reads the body here")

        scope: dict[str, Any] = {"type": "http", "path": path, "state": {"request_id": "r"}}
        await self.door(scope, receive, send)
        return sent

    def signal(self) -> None:
        self.closing.signal(self.stopped.set)


async def running(house: House, body: Body) -> asyncio.Task[list[Message]]:
    """A request that is in, and does `body`."""
    house.body = body
    task = asyncio.create_task(house.ask())
    while not house.scopes:  # noqa: ASYNC110 - one turn
        await asyncio.sleep(0)
    return task


async def forever(send: Send) -> None:
    await asyncio.Event().wait()


async def test_with_nothing_running_it_stops_at_once() -> None:
    house = House()
    assert not house.closing.begun
    house.signal()
    assert house.closing.begun
    async with asyncio.timeout(1):
        await house.stopped.wait()


async def test_running_requests_finish_and_new_ones_are_refused_with_retry_after() -> None:
    house, go = House(), asyncio.Event()

    async def slow(send: Send) -> None:
        await go.wait()
        await answers(send)

    task = await running(house, slow)
    house.signal()
    await asyncio.sleep(0)
    start, body = await house.ask()
    headers = dict(start["headers"])
    assert start["status"] == 503
    assert headers[b"retry-after"] == b"1"
    assert headers[b"connection"] == b"close"
    assert b"shutting_down" in body["body"]
    assert not house.stopped.is_set()
    go.set()
    assert (await task)[0]["status"] == 200
    await asyncio.wait_for(house.stopped.wait(), 1)


@pytest.mark.parametrize("path", ["/readyz", "/healthz", "/metrics"])
async def test_operators_are_answered_to_the_end(path: str) -> None:
    house = House()
    house.signal()
    await asyncio.wait_for(house.stopped.wait(), 1)
    assert (await house.ask(path))[0]["status"] == 200


async def test_while_draining_requests_are_served() -> None:
    house = House(drain=5)
    house.signal()
    await asyncio.sleep(0)
    assert (await house.ask())[0]["status"] == 200
    assert house.closing.begun
    assert not house.stopped.is_set()
    house.signal()
    await asyncio.wait_for(house.stopped.wait(), 1)
    assert (await house.ask())[0]["status"] == 503


async def test_when_the_grace_time_is_over_the_rest_is_cut_with_an_honest_answer() -> None:
    house = House(grace=0.05)
    task = await running(house, forever)
    house.signal()
    start, body = await asyncio.wait_for(task, 1)
    assert start["status"] == 503
    assert b"shutting_down" in body["body"]
    assert was_cut(house.scopes[0])
    await asyncio.wait_for(house.stopped.wait(), 1)


async def test_a_response_that_has_begun_gets_nothing_that_does_not_belong_to_it() -> None:
    house = House(grace=0.05)

    async def begun(send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await forever(send)

    task = await running(house, begun)
    house.signal()
    assert len(await asyncio.wait_for(task, 1)) == 1


async def test_a_second_signal_waits_for_nobody() -> None:
    house = House(grace=60)
    task = await running(house, forever)
    house.signal()
    await asyncio.sleep(0)
    assert not task.done()
    house.signal()
    await asyncio.wait_for(house.stopped.wait(), 1)
    assert (await task)[0]["status"] == 503


async def test_a_client_that_leaves_is_not_taken_for_one_that_was_cut() -> None:
    house = House()
    task = await running(house, forever)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    house.signal()
    await asyncio.wait_for(house.stopped.wait(), 1)


async def test_signals_close_and_reload_and_the_servers_own_handler_is_told_last() -> None:
    told: list[int] = []
    closing, reloads = Closing(drain=0, grace=0), asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    others = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGHUP)}
    loop = asyncio.get_running_loop()
    try:
        async with signals(closing, reloads.set, alone=False):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.wait_for(reloads.wait(), 5)
            os.kill(os.getpid(), signal.SIGINT)  # the supervisor's business
            os.kill(os.getpid(), signal.SIGTERM)
            async with asyncio.timeout(5):
                while not told:  # noqa: ASYNC110 - a signal handler sets it
                    await asyncio.sleep(0.01)
        assert told == [signal.SIGTERM]
    finally:
        for number in (signal.SIGTERM, *others):
            loop.remove_signal_handler(number)
        for number, handler in {signal.SIGTERM: before, **others}.items():
            signal.signal(number, handler)
