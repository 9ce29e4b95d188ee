"""Room 7: a Reply becomes HTTP. Whole SSE events pass as they come; who leaves ends the call."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.domain.call import Reply
from gateway.domain.errors import GatewayError
from gateway.domain.sse import encode
from gateway.web.edge import retry_after, send_error
from gateway.web.event_stream import EventStream

_log = logging.getLogger("gateway.web")

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]{0,4096}")
_NOT_THEIRS = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "date"),
        *("keep-alive", "server", "te", "trailer", "transfer-encoding", "upgrade"),
        *("x-gateway-attempts", "x-gateway-replica", "x-request-id"),
    }
)

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


def answer_headers(reply: Reply) -> list[tuple[bytes, bytes]]:
    """Which replica answered, at which attempt."""
    return [
        (b"x-gateway-replica", reply.replica.encode("latin-1", "replace")),
        (b"x-gateway-attempts", b"%d" % len(reply.attempts)),
    ]


def policy_headers(wanted: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Those that may go out. One that could end the head of the answer early, or is the server's
    own business, is left out and logged by its name."""
    found = []
    for name, value in wanted.items():
        if _NAME.fullmatch(name) and _VALUE.fullmatch(value) and name not in _NOT_THEIRS:
            found.append((name.encode(), value.encode("latin-1")))
        else:
            _log.warning("a policy set a header that cannot be sent: %.80r", name)
    return found


class Relay(Response):
    """Opens a Reply and sends it. An error before the first byte is a status; after it, an event
    `error` with no `[DONE]`. `streams()` says, once it is known, whether the answer will be a
    stream; a client then never waits for longer than `silence` seconds (0: as long as it takes)
    without a sign of life. `headers()` are those that policies have set by now: they go out with
    any answer, an error's too."""

    def __init__(
        self,
        opening: Opening,
        request_id: str,
        *,
        streams: Callable[[], bool] = lambda: False,
        silence: float = 0.0,
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        # Not Response.__init__: there is no body yet. Starlette looks at these two.
        self.background = None
        self.status_code = 200
        self._opening = opening
        self._request_id = request_id
        self._streams = streams
        self._silence = silence
        self._set = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def work() -> None:
            await self._relay(send)

        await until_disconnect(receive, work)

    async def _relay(self, send: Send) -> None:
        stream = EventStream(send, self._silence, self._streams, self._added)
        async with stream:
            try:
                async with self._opening() as reply:
                    await self._pass_on(reply, stream, send)
            except GatewayError as error:
                if not stream.started:
                    await send_error(send, error, self._request_id, self._added())
                    return
                await stream.write(encode(orjson.dumps(self._told(error)), "error"))
            if stream.started:
                await stream.end()

    def _added(self) -> list[tuple[bytes, bytes]]:
        return policy_headers(self._set())

    async def _pass_on(self, reply: Reply, stream: EventStream, send: Send) -> None:
        if not reply.stream:
            await _send_plain(send, reply, self._added())
            return
        await stream.begin(answer_headers(reply))
        async for chunk in reply.chunks:
            await stream.write(chunk)

    def _told(self, error: GatewayError) -> dict[str, Any]:
        """An error's body; what a status would say in headers is in it."""
        body = error.body(self._request_id)
        if error.retry_after is not None:
            body["error"]["retry_after"] = retry_after(error.retry_after)
        return body


async def _send_plain(send: Send, reply: Reply, added: list[tuple[bytes, bytes]]) -> None:
    body = b"".join([chunk async for chunk in reply.chunks])
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", b"%d" % len(body)),
        *answer_headers(reply),
        *added,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
