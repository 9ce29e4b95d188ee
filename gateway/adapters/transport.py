"""The wire: requests to replicas over pooled connections. Satisfies ports.Wire."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from time import monotonic
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit
from weakref import WeakSet

import aiohttp
from aiohttp.connector import Connection

from gateway.adapters.descriptors import kept_for_clients, left_above
from gateway.adapters.whole_body import whole_body
from gateway.domain.errors import OutOfDescriptors
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault

# Shorter than vLLM's uvicorn would like to keep a connection (5 s is its default), so that we
# close first and a request does not meet a connection that is just being closed.
_KEEP_ALIVE_SECONDS = 4.0
_READ_BYTES = 64 * 1024
_NO_LIMIT = 1 << 30
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
# A connection that the other side has closed while nobody used it says so within a round trip.
_STALE_SECONDS = 0.5


class _Stale(aiohttp.ClientError):
    """A kept connection was dead already when the request went out on it."""


class _Response(aiohttp.ClientResponse):
    """Mends two habits of aiohttp: a kept connection that died is told from one that broke at
    work, and a body that stops being HTTP ends (aiohttp closes the connection, but lets its
    reader wait for ever)."""

    _served: ClassVar[WeakSet[object]] = WeakSet()

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol, began = connection.protocol, monotonic()
        assert protocol is not None  # it has just been taken
        try:
            response = await super().start(connection)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if protocol in self._served and monotonic() - began < _STALE_SECONDS:
                raise _Stale(str(error)) from error
            raise
        closed = protocol.closed
        if closed is None:
            self._cut()
            return response
        if protocol not in self._served:
            self._served.add(protocol)
            closed.add_done_callback(_hear)
        closed.add_done_callback(self._cut)
        self.content.on_eof(lambda: _forget(closed, self._cut))
        return response

    def _cut(self, _: object = None) -> None:
        """The connection is closed: whoever reads on should hear of it."""
        if not self.content.is_eof() and self.content.exception() is None:
            self.content.set_exception(aiohttp.ClientPayloadError("closed inside the body"))


def _hear(closed: asyncio.Future[None]) -> None:
    """An exception that nobody asks for, asyncio would log."""
    if not closed.cancelled():
        closed.exception()


def _forget(closed: asyncio.Future[None], callback: Callable[[object], None]) -> None:
    closed.remove_done_callback(callback)


class AiohttpResponse:
    """One upstream answer. `release` or `close` ends it; both may be called twice."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self, limit: int) -> bytes:
        """The whole body. WireError when it is cut short or passes `limit` bytes."""
        return await whole_body(self.chunks(), limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they come. WireError when the connection breaks before the body's end."""
        content = self._response.content
        try:
            async for chunk in content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            # aiohttp keeps the error in what raised it: a cycle, and the whole answer hangs on it.
            error.__traceback__ = None
            # What came together with the break counts: aiohttp keeps it and says only the error.
            if held := b"".join(getattr(content, "_buffer", ())):
                yield held
            raise WireError(Fault.BROKEN, _describe(error)) from error

    def release(self) -> None:
        """Read to the end: the connection may serve another request."""
        self._response.release()

    def close(self) -> None:
        """Drop the connection now; a vLLM then stops generating."""
        self._response.close()


class AiohttpWire:
    """Use as `async with AiohttpWire(connect=5.0) as wire`. `connect` in seconds."""

    def __init__(self, *, connect: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)
        self._sessions = AsyncExitStack()
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> AiohttpWire:
        kept = _connector(keepalive_timeout=_KEEP_ALIVE_SECONDS)
        fresh = _connector(force_close=True)
        self._kept = await self._sessions.enter_async_context(_session(kept))
        self._fresh = await self._sessions.enter_async_context(_session(fresh))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._sessions.aclose()

    def connections(self, url: str) -> tuple[int, int]:
        """To the host and port of that URL: those in use, and idle ones."""
        in_use = idle = 0
        for session in (self._kept, self._fresh):
            if session is None or session.connector is None:
                continue
            # aiohttp tells nobody of its pool: the names are checked by a test.
            for key, held in session.connector._acquired_per_host.items():
                in_use += len(held) if (key.host, key.port) == _place(url) else 0
            for key, kept in session.connector._conns.items():
                idle += len(kept) if (key.host, key.port) == _place(url) else 0
        return in_use, idle

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AiohttpResponse:
        """Send and wait for the headers. WireError(CONNECT) before a connection, (BROKEN) after;
        OutOfDescriptors where it is this process that cannot open one.

        A kept connection that turns out to be dead is no failure: the request goes out once more
        on a new one. Nothing was answered then, and generating twice has no effect but its cost.
        """
        if self._kept is None or self._fresh is None:
            raise RuntimeError("enter the wire first: async with AiohttpWire(...) as wire")
        try:
            try:
                return await self._exchange(self._kept, method, url, headers, body)
            except _Stale:
                return await self._exchange(self._fresh, method, url, headers, body)
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            ValueError,  # a URL that is none, a line break in a header: of a wrong configuration
            ssl.SSLError,
        ) as error:
            error.__traceback__ = None
            if getattr(error, "errno", None) in _EXHAUSTED:
                raise OutOfDescriptors(_describe(error)) from error
            raise WireError(Fault.CONNECT, _describe(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            error.__traceback__ = None
            raise WireError(Fault.BROKEN, _describe(error)) from error

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> AiohttpResponse:
        response = await session.request(
            method, url, data=body, headers=headers, allow_redirects=False, timeout=self._timeout
        )
        return AiohttpResponse(response)


@lru_cache(maxsize=1024)
def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _connector(**how: Any) -> aiohttp.TCPConnector:
    # With a limit for each place aiohttp knows how many connections go there.
    how |= {"limit": 0, "limit_per_host": _NO_LIMIT}
    return aiohttp.TCPConnector(ttl_dns_cache=30, socket_factory=_socket, **how)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """For a connection to that address of getaddrinfo; EMFILE as if there were no more descriptors
    where the last ones are kept for clients."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    if left_above(made.fileno()) < kept_for_clients():
        made.close()
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return made


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        response_class=_Response,
        # Bytes go to the client as they are, so nobody packs or unpacks them.
        headers={"accept-encoding": "identity"},
        auto_decompress=False,
        # What lies here of a stream whose client is slow, before the replica has to wait: twice
        # this, and one read of the socket. aiohttp's own is 256 KiB.
        read_bufsize=_READ_BYTES,
        cookie_jar=aiohttp.DummyCookieJar(),
        # A proxy for the outside world must not come between us and our own replicas.
        trust_env=False,
    )


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
