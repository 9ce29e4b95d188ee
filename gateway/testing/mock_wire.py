"""The mock's side of one TCP connection: HTTP/1.1 in, steps out, and an eye on the client."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import urllib.parse
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import httptools
import orjson

from gateway.testing.mock_answers import Request
from gateway.testing.mock_script import Behaviour, Received, Then
from gateway.testing.mock_steps import End, Pause, Send, Step

_SIOCOUTQNSD = 0x894B  # Linux; not TIOCOUTQ, which also counts what waits for an ACK: 40 ms
_BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\ncontent-length: 30\r\n\r\nInvalid HTTP request received."
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and how it is to be answered; control requests leave no record."""

    request: Request
    behaviour: Behaviour
    received: Received | None


class Site(Protocol):
    """What a connection needs from its server."""

    def opened(self, connection: "Connection") -> int:
        """Note a new connection and give it a number."""

    def closed(self, connection: "Connection") -> None: ...

    def arrived(self, request: Request, connection: "Connection") -> Exchange:
        """Note a request; its behaviour is the next of the script."""

    async def respond(self, exchange: Exchange, connection: "Connection") -> Iterator[Step]:
        """The steps that answer it."""

    def ended(self, exchange: Exchange, left: bool) -> None:
        """The steps are played, or the client `left` before."""


class Connection(asyncio.Protocol):
    """Answers the requests of one client in turn, and stops at once when the client leaves."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self.number = 0

    @property
    def idle(self) -> bool:
        """No request is being answered."""
        return self._task is None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Every write waits for the kernel, so that a chunk which the client was too slow to take
        # is not counted as sent.
        transport.set_write_buffer_limits(0)
        self.number = self._site.opened(self)

    def data_received(self, chunk: bytes) -> None:
        try:
            self._parser.feed_data(chunk)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.idle:
                self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def eof_received(self) -> None:
        # Half-closed counts as gone, as it does for uvicorn, which vLLM runs on.
        self._client_left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client_left()
        self._site.closed(self)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        raw = b"".join(self._body)
        request = Request(
            method=self._parser.get_method().decode("ascii"),
            path=urllib.parse.unquote(path),
            query=query,
            headers=self._headers,
            raw=raw,
            body=_parsed(raw),
            keep_alive=self._parser.should_keep_alive(),
        )
        self._queue.append(self._site.arrived(request, self))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._serve())

    # Answering

    async def _serve(self) -> None:
        while self._queue:
            exchange = self._queue[0]
            how = await self._perform(await self._site.respond(exchange, self), exchange.received)
            self._site.ended(self._queue.popleft(), left=False)
            if how != "keep":
                self._end(how)
                break
        self._task = None

    async def _perform(self, steps: Iterator[Step], received: Received | None) -> Then:
        for step in steps:
            match step:
                case Pause(seconds=0.0):
                    continue
                case Pause(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Send(payload=payload, chunks=chunks):
                    self._transport.write(payload)
                    if received is not None:
                        received.chunks_sent += chunks
                    # A turn of the loop, in which the end of the connection is seen.
                    await asyncio.sleep(0)
                    await self._writable.wait()
                case End(how=how):
                    if how == "reset":
                        await self._sent()
                    return how
        return "keep"

    async def _sent(self) -> None:
        # A reset drops what the kernel still holds. Patience ends: the client may read nothing.
        plug: socket.socket = self._transport.get_extra_info("socket")
        for _ in range(1000):
            if not _unsent(plug):
                return
            await asyncio.sleep(0.001)

    def _end(self, how: Then) -> None:
        if how == "close":
            self._transport.close()
        else:
            self.reset()

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        """End the connection with RST."""
        plug: socket.socket = self._transport.get_extra_info("socket")
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _client_left(self) -> None:
        while self._queue:
            self._site.ended(self._queue.popleft(), left=True)
        if self._task is not None:
            self._task.cancel()
            self._task = None


def _unsent(plug: socket.socket) -> int:
    """How many bytes wait in the kernel for room at the client; 0 where it does not tell."""
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(plug.fileno(), _SIOCOUTQNSD, bytes(4))
        return int.from_bytes(size, sys.byteorder)
    return 0


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
