"""The end of a process: what happens between SIGTERM and the last byte."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.domain.errors import ShuttingDown
from gateway.web.connection import mark_cut, was_cut
from gateway.web.edge import ALWAYS, last, send_error

_log = logging.getLogger("gateway.web")
_UNWIND_SECONDS = 2.0


class Closing:
    """From the first signal on `/readyz` says 503. For `drain` seconds all else goes on, so that
    whoever sends traffic here learns of it; then new requests are refused, and running ones have
    `grace` seconds; those that are left are cut, and the server is told to stop. A second signal
    skips what is left of the waiting."""

    def __init__(self, *, drain: float, grace: float) -> None:
        self._drain = drain
        self._grace = grace
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._running: dict[asyncio.Task[Any], Scope] = {}
        self._end: asyncio.Task[None] | None = None
        self.refusing = False
        self.over = False

    @property
    def begun(self) -> bool:
        """Whether the first signal has come."""
        return self._end is not None

    def signal(self, stop: Callable[[], None]) -> None:
        """SIGTERM or Ctrl-C; `stop` tells the server. Call it in the event loop."""
        if self._end is None:
            _log.info("shutting down: %d requests are running", len(self._running))
            self._end = asyncio.create_task(self._close(stop))
        else:
            self._hurry.set()

    @asynccontextmanager
    async def entered(self, scope: Scope) -> AsyncIterator[None]:
        """A request that has been let in, to its end."""
        task = asyncio.current_task()
        assert task is not None  # the server runs each request in one
        self._running[task] = scope
        try:
            yield
        finally:
            del self._running[task]
            if not self._running:
                self._idle.set()

    async def _close(self, stop: Callable[[], None]) -> None:
        if self._drain:
            await self._wait(self._hurry, self._drain)
        self.refusing = True
        if self._running and not self._hurry.is_set():
            self._idle.clear()
            await self._wait(self._idle, self._grace)
        self.over = True
        if self._running:
            _log.warning("cutting %d requests that are still running", len(self._running))
            for task, scope in self._running.items():
                mark_cut(scope)
                task.cancel()
            await asyncio.wait(set(self._running), timeout=_UNWIND_SECONDS)
        stop()

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """For the event, a second signal, or the time to pass."""
        waiting = {asyncio.ensure_future(one.wait()) for one in (event, self._hurry)}
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()


class ClosingDoor:
    """Counts requests in, and refuses new ones when `closing` says so. It stands within RequestId,
    whose id it needs."""

    def __init__(self, app: ASGIApp, closing: Closing) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        call_id = scope["state"]["request_id"]
        if self._closing.refusing:
            await send_error(last(send), ShuttingDown(), call_id)
            return
        started = False

        # No coroutine of its own: each chunk of a stream comes through here.
        def send_on(message: Any) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        async with self._closing.entered(scope):
            try:
                await self._app(scope, receive, send_on)
            except asyncio.CancelledError:
                if not was_cut(scope):
                    raise
                # The server would log a traceback. A stream has been ended by its relay.
                if not started:
                    await send_error(send, ShuttingDown(), call_id)


@asynccontextmanager
async def signals(
    closing: Closing, reload: Callable[[], None], *, alone: bool
) -> AsyncIterator[None]:
    """SIGTERM and Ctrl-C close, SIGHUP reloads. Inside uvicorn's lifespan: its own handlers are in
    place by then and are what stops the server in the end. A worker that is not `alone` leaves
    Ctrl-C to its supervisor, which sends SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    usual = signal.getsignal(signal.SIGTERM)

    def stop() -> None:
        if callable(usual):
            usual(signal.SIGTERM, None)

    def close() -> None:
        closing.signal(stop)

    loop.add_signal_handler(signal.SIGTERM, close)
    loop.add_signal_handler(signal.SIGINT, close if alone else lambda: None)
    loop.add_signal_handler(signal.SIGHUP, reload)
    yield
