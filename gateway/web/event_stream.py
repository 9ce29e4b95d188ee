"""A response of server-sent events that never falls silent: EventStream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from starlette.types import Send

from gateway.domain.sse import COMMENT

Headers = Sequence[tuple[bytes, bytes]]

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    # Both keep proxies from holding events back.
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_PIECE = 64 * 1024
_BORDERS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class EventStream:
    """Whole events to one client; use it as `async with`.

    Whenever nothing has been sent for `silence` seconds (0: never), a comment goes out, so that
    no proxy takes the line for dead; the first one begins the response. It does so only where
    `wanted()` says that the answer will be a stream; `added()` are the headers to send by then. One
    timer in all, which a chunk does not touch.
    """

    def __init__(
        self,
        send: Send,
        silence: float,
        wanted: Callable[[], bool],
        added: Callable[[], Headers] = tuple,
    ) -> None:
        self._send = send
        self._silence = silence
        self._wanted = wanted
        self._added = added
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._sending = False
        self._tail = b"\n\n"
        self._timer: asyncio.TimerHandle | None = None
        self._comment: asyncio.Task[None] | None = None
        self.started = False

    async def __aenter__(self) -> Self:
        if self._silence:
            self._timer = self._loop.call_at(self._last + self._silence, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._comment is not None:
            self._comment.cancel()
            await asyncio.gather(self._comment, return_exceptions=True)

    async def begin(self, headers: Headers) -> None:
        """The head of the response, unless a comment has begun it already."""
        await self._wait_for_comment()
        if not self.started:
            await self._begin(headers)

    async def write(self, events: bytes) -> None:
        """Whole events. Waits while the client has enough to read."""
        if self._comment is not None:
            await self._wait_for_comment()
        self._sending = True
        if len(events) <= _PIECE:
            await self._send({"type": "http.response.body", "body": events, "more_body": True})
        else:
            # In one piece it would all lie in the server's buffer, copied, until the client reads.
            for at in range(0, len(events), _PIECE):
                piece = events[at : at + _PIECE]
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        self._sending = False
        self._tail = events[-4:]
        self._last = self._loop.time()

    async def end(self) -> None:
        """The end of the response."""
        await self._wait_for_comment()
        self._silence = 0
        await self._send({"type": "http.response.body", "body": b""})

    async def _begin(self, headers: Headers) -> None:
        self.started = True
        head = [*_HEADERS, *headers, *self._added()]
        await self._send({"type": "http.response.start", "status": 200, "headers": head})

    def _look(self) -> None:
        """The silence may have lasted long enough by now; look again when it may have next."""
        if not self._silence:
            return
        now = self._loop.time()
        due = self._last + self._silence
        if now >= due:
            due = now + self._silence
            # While a chunk, or a comment, waits for the client to read, there is no silence.
            idle = not self._sending and self._comment is None
            if idle and self._tail.endswith(_BORDERS) and self._wanted():
                self._comment = self._loop.create_task(self._say_something())
                self._comment.add_done_callback(self._said)
        self._timer = self._loop.call_at(due, self._look)

    async def _say_something(self) -> None:
        if not self.started:
            await self._begin(())
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        self._last = self._loop.time()

    def _said(self, comment: asyncio.Task[None]) -> None:
        self._comment = None
        if not comment.cancelled():
            comment.exception()  # whoever writes next meets the same trouble

    async def _wait_for_comment(self) -> None:
        if self._comment is not None:
            await asyncio.wait({self._comment})
