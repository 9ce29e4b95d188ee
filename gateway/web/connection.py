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
from typing import ClassVar

from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

_STALLED = "client_stalled"
_CUT = "cut_by_shutdown"
_RESET = struct.pack("ii", 1, 0)


def has_stalled(scope: Scope) -> bool:
    """Whether this request's connection was closed because the client did not read."""
    return bool(scope.get("state", {}).get(_STALLED))


def mark_cut(scope: Scope) -> None:
    """This request is going to be ended by us: the grace time is over."""
    scope.setdefault("state", {})[_CUT] = True


def was_cut(scope: Scope) -> bool:
    """Whether this request is ended because the grace time is over."""
    return bool(scope.get("state", {}).get(_CUT))


class Connection(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with two promises more.

    A client that takes nothing for `stall` seconds while more than 64 KiB wait for it is cut off,
    whatever it asked for. And when a client goes, the request that is being answered hears of it,
    also where further ones were pipelined behind it.
    """

    stall: ClassVar[float] = 60.0
    _timer: asyncio.TimerHandle | None = None
    _unread = 0
    _answering: RequestResponseCycle | None = None

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


def connection_class(stall: float) -> type[Connection]:
    """For uvicorn's `http=`: connections that bear `stall` seconds of a client that does not
    read."""
    return type("Connection", (Connection,), {"stall": stall})


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
