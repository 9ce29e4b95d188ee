"""The server's side of one TCP connection: uvicorn's, which closes it when a client stalls."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from http import HTTPStatus
from typing import ClassVar

import orjson
from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.adapters.descriptors import kept_for_refusals, left_above
from gateway.domain.errors import GatewayError, InvalidRequest, OutOfDescriptors

KEEP_ALIVE_SECONDS = 75
"""How long a connection may lie idle: longer than in the pools of clients (5 in httpx, and so in
OpenAI's own client) and of load balancers (60). Whoever closes first must not be the one that the
next request is sent to."""

_STALLED = "client_stalled"
_CUT = "cut_by_shutdown"
_CROWDED = "crowded"


class HeadersTooLarge(InvalidRequest):
    """More headers, or more bytes of them, than a request may have."""

    status = 431
    code = "headers_too_large"


_RESET = struct.pack("ii", 1, 0)
_ANSWER = (
    b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\n%s"
    b"content-length: %d\r\nconnection: close\r\n\r\n"
)


def has_stalled(scope: Scope) -> bool:
    """Whether this request's connection was closed because the client did not read."""
    return bool(scope.get("state", {}).get(_STALLED))


def mark_cut(scope: Scope) -> None:
    """This request is going to be ended by us: the grace time is over."""
    scope.setdefault("state", {})[_CUT] = True


def was_cut(scope: Scope) -> bool:
    """Whether this request is ended because the grace time is over."""
    return bool(scope.get("state", {}).get(_CUT))


def is_crowded(scope: Scope) -> bool:
    """Whether this request's connection is one of the last that this process may open."""
    return bool(scope.get("state", {}).get(_CROWDED))


class Connection(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with four promises more.

    A client that takes nothing for `stall` seconds while more than 64 KiB wait for it is cut off,
    whatever it asked for. And when a client goes, the request that is being answered hears of it,
    also where further ones were pipelined behind it. And a request's line and headers, however
    slowly they come, are at most `header_bytes` long and `headers` many: else it is answered 431
    and the connection closed. And a client that takes one of the last descriptors is told to come
    back, whether there is time to hear it (`is_crowded`) or not.
    """

    stall: ClassVar[float] = 60.0
    header_bytes: ClassVar[int] = 65_536
    most_headers: ClassVar[int] = 128
    _head = 0
    _in_head = True
    _timer: asyncio.TimerHandle | None = None
    _unread = 0
    _answering: RequestResponseCycle | None = None
    _crowded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is here; or one too many, whose requests are refused."""
        super().connection_made(transport)
        plug = transport.get_extra_info("socket")
        left = sys.maxsize if plug is None else left_above(plug.fileno())
        self._crowded = left < kept_for_refusals()
        if left < kept_for_refusals() // 2:
            # The next might be one too many: no time to hear what this one wants.
            self._say(OutOfDescriptors())
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of the client. llhttp keeps what it is given of a header until its end has come,
        and knows no limit."""
        if not self._in_head:
            super().data_received(data)
        elif self._head + len(data) <= self.header_bytes:
            self._head += len(data)
            super().data_received(data)
        else:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        """In pieces, since headers and a large body may come at once."""
        rest = memoryview(data)
        while rest and not self.transport.is_closing():
            size = len(rest)
            if self._in_head:
                size = self.header_bytes - self._head
                if size <= 0:
                    self._refuse(f"{self.header_bytes} bytes of headers", "max_header_bytes")
                    return
                self._head += min(size, len(rest))
            super().data_received(bytes(rest[:size]))
            rest = rest[size:]

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header is here whole."""
        super().on_header(name, value)
        if len(self.headers) > self.most_headers:
            self._refuse(f"{self.most_headers} headers", "max_headers")
            raise ValueError("too many headers")  # which ends the parser's work

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes that are no HTTP; nothing, where more has been said."""
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def _refuse(self, most: str, setting: str) -> None:
        """Nobody knows where the headers end, so nothing more can be read on this connection."""
        cycle = self._answering
        if cycle is None or cycle.response_complete:  # else it would get into another answer
            text = f"The request has more than {most} (the operator sets server.{setting})."
            self._say(HeadersTooLarge(text))
        self.transport.close()

    def _say(self, error: GatewayError) -> None:
        """An answer to what no application has seen."""
        body = orjson.dumps(error.body())
        phrase = HTTPStatus(error.status).phrase.encode()
        again = b"retry-after: %d\r\n" % error.retry_after if error.retry_after else b""
        head = _ANSWER % (error.status, phrase, again, len(body))
        self.transport.write(head + body)

    def on_headers_complete(self) -> None:
        """What follows is a body, or the next request."""
        self._in_head, self._head = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What follows is the next request."""
        super().on_message_complete()
        self._in_head = True

    def pause_writing(self) -> None:
        """The transport holds more than its high-water mark of 64 KiB."""
        super().pause_writing()
        self._unread = unread(self.transport)
        self._timer = self.loop.call_later(self.stall, self._look)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection, whoever ended it."""
        self._forget()
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        if self._crowded:
            cycle.scope.setdefault("state", {})[_CROWDED] = True
        super()._start_asgi_task(cycle, app)

    def _look(self) -> None:
        # Nothing is written while writing is paused, so this number can only fall.
        left = unread(self.transport)
        if left < self._unread:
            self._unread = left
            self._timer = self.loop.call_later(self.stall, self._look)
            return
        self._timer = None
        if self._answering is not None:
            self._answering.scope.setdefault("state", {})[_STALLED] = True
        drop(self.transport)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def connection_class(
    stall: float, header_bytes: int = 65_536, most_headers: int = 128
) -> type[Connection]:
    """For uvicorn's `http=`: connections that bear `stall` seconds of a client that does not
    read, and so much of headers."""
    own = {"stall": stall, "header_bytes": header_bytes, "most_headers": most_headers}
    return type("Connection", (Connection,), own)


def drop(transport: asyncio.Transport) -> None:
    """End the connection at once, with a reset. A close() would wait for the client to read first,
    and without the reset the kernel would go on doing so."""
    plug = transport.get_extra_info("socket")
    if plug is not None:
        # uvloop's own object of the socket takes no options.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(plug.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def unread(transport: asyncio.Transport) -> int:
    """Bytes on their way that the client's machine has not taken: ours, and where it can be told
    (Linux) the kernel's."""
    held = transport.get_write_buffer_size()
    plug = transport.get_extra_info("socket")
    if plug is not None:
        with contextlib.suppress(OSError):
            size = fcntl.ioctl(plug.fileno(), termios.TIOCOUTQ, bytes(4))
            held += int.from_bytes(size, sys.byteorder)
    return held
