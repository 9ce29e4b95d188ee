"""Room 7: a Reply becomes HTTP. Whole SSE events pass as they come; who leaves ends the call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.domain.call import Reply
from gateway.domain.errors import GatewayError
from gateway.domain.sse import encode
from gateway.web.edge import send_error

# A client that takes nothing for so long is as good as gone. Until then its replica waits with it:
# nothing is read from upstream that cannot be passed on.
_STALLED_SECONDS = 60.0

Opening = Callable[[], AbstractAsyncContextManager[Reply]]


async def until_disconnect(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work`, and cancel it as soon as the client is gone. The request's body must have been
    read: what `receive` says next is then the end of the connection."""
    task = asyncio.ensure_future(work())
    watcher = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()
    finally:
        # Also when we are cancelled ourselves: nothing goes on without its request.
        watcher.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event_stream_headers() -> list[tuple[bytes, bytes]]:
    """Headers that keep proxies from holding events back."""
    return [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]


def answer_headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Which replica answered, at which attempt."""
    return [
        (b"x-gateway-replica", reply.replica.encode("latin-1", "replace")),
        (b"x-gateway-attempts", b"%d" % len(reply.attempts)),
    ]


class Relay(Response):
    """Opens a Reply and sends it. An error before the first byte is a status; after it, an event
    `error` with no `[DONE]`."""

    def __init__(self, opening: Opening, request_id: str) -> None:
        # Not Response.__init__: there is no body yet. Starlette looks at these two.
        self.background = None
        self.status_code = 200
        self._opening = opening
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            await self._relay(send)

        await until_disconnect(receive, work)

    async def _relay(self, send: Send) -> None:
        streaming = False
        try:
            async with self._opening() as reply:
                if reply.stream:
                    headers = [*event_stream_headers(), *answer_headers(reply)]
                    await send({"type": "http.response.start", "status": 200, "headers": headers})
                    streaming = True
                    await self._pass_on(send, reply)
                else:
                    await self._send_plain(send, reply)
        except GatewayError as error:
            if not streaming:
                await send_error(send, error, self._request_id)
                return
            event = encode(orjson.dumps(error.body(self._request_id)), "error")
            await send({"type": "http.response.body", "body": event, "more_body": True})
        if streaming:
            await send({"type": "http.response.body", "body": b""})

    async def _pass_on(self, send: Send, reply: Reply) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # this is a coroutine
        async for chunk in reply.chunks:
            patience = loop.call_later(_STALLED_SECONDS, task.cancel)
            try:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                patience.cancel()

    async def _send_plain(self, send: Send, reply: Reply) -> None:
        body = b"".join([chunk async for chunk in reply.chunks])
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", b"%d" % len(body)),
            *answer_headers(reply),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
