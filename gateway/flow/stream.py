"""A stream on its way to the client: Stream is one replica's, `follow` goes on from one to the
next where a Rescue finds another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.call import Usage
from gateway.domain.delivered import Delivered
from gateway.domain.errors import LLMError, LLMTimeoutError, StreamTruncated
from gateway.domain.graft import Graft, Unjoinable
from gateway.domain.guessed import of_stream
from gateway.domain.pace import Pace
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault, fault_of
from gateway.domain.sse import DONE, EventTooLarge, StreamWatch
from gateway.flow.lease import LAST_SECONDS, Lease, Opened

_DRAIN_SECONDS = 0.05
# All choices have finished: what may still come is the usage, and the client has its answer.
_AFTER_FINISH_SECONDS = 5.0


class Broken(Exception):
    """The stream ended before the answer did. `fault` is the replica's, None for a deadline;
    `error` is what the client is told when nobody goes on."""

    def __init__(self, fault: Fault | None, error: LLMError) -> None:
        super().__init__(error.detail)
        self.fault = fault
        self.error = error


class Rescue(Protocol):
    """Finds somebody to go on with a broken stream."""

    async def __call__(self, opened: Opened, broken: Broken) -> bytes | None:
        """Put another replica's stream into `opened` and return None; or return the last events
        of an answer that was complete already. `broken.error` when neither is possible."""
        ...


@dataclass(slots=True)
class Stream:
    """What one replica streams; its first events are here already. `idle` in seconds. With a
    `graft` it goes on with an earlier stream."""

    lease: Lease
    watch: StreamWatch
    chunks: AsyncIterator[bytes]
    first: bytes
    idle: float
    graft: Graft | None = None
    _closed: bool = field(default=False, init=False)

    async def next(self) -> bytes | None:
        """Whole events for the client, maybe none (b""); None after a real end. Broken at any
        other."""
        watch = self.watch
        if self._closed or watch.done or watch.error is not None:
            self._ended()
            return None
        self._sane()
        chunk = await self._read()
        try:
            if chunk is None:
                self._closed = True
                whole = watch.end()
            else:
                whole = watch.feed(chunk)
            if self.graft is not None and whole:
                whole = self.graft.feed(whole)
        except EventTooLarge as error:
            raise Broken(Fault.GARBAGE, StreamTruncated(detail=str(error))) from None
        except Unjoinable as error:
            # Another replica of the model would say the same: there is no point in asking.
            raise Broken(Fault.UNSUPPORTED, StreamTruncated(detail=str(error))) from None
        return whole

    @property
    def used(self) -> Usage | None:
        """What it and those before it had used when its last chunk came; None where it has not
        told."""
        own = self.watch.counted
        return self.graft.usage(own) if self.graft is not None else own

    def _sane(self) -> None:
        """Broken when nothing but garbage comes; what came before it has been passed on."""
        watch = self.watch
        if watch.malformed and watch.babbles:
            detail = f"{watch.malformed} events that are none"
            raise Broken(Fault.GARBAGE, StreamTruncated(detail=detail))

    def _ended(self) -> None:
        watch = self.watch
        if watch.complete:
            return
        if watch.error is not None:
            code = watch.error.get("code")
            status = code if isinstance(code, int) and 400 <= code < 600 else 500
            fault = fault_of(status, b"") or Fault.SERVER_ERROR
            detail = f"the replica sent an error event ({status}) in its stream"
            raise Broken(fault, StreamTruncated(detail=detail))
        detail = "the stream ended without a finish_reason"
        raise Broken(Fault.TRUNCATED, StreamTruncated(detail=detail))

    async def _read(self) -> bytes | None:
        """The next chunk, None at the end, or when the connection breaks after the answer."""
        left = self.lease.call.deadline - self.lease.clock()
        whole, lease = self.watch.whole, self.lease
        idle = min(self.idle, _AFTER_FINISH_SECONDS) if whole else self.idle
        if lease.hurried:
            idle = min(idle, LAST_SECONDS)
        try:
            async with asyncio.timeout(max(0.0, min(idle, left))) as lease.limit:
                chunk = await anext(self.chunks, None)
            lease.hurried = False
            return chunk
        except TimeoutError:
            if whole:
                return None
            if idle < left or lease.hurried:
                why = "the replica is down" if lease.hurried else f"no chunk for {idle:g} s"
                error = LLMTimeoutError(detail=why)
                raise Broken(Fault.TIMEOUT, error) from None
            # A deadline is the client's or the operator's: not the replica's fault.
            raise Broken(None, LLMTimeoutError(detail="the stream's time is up")) from None
        except WireError as error:
            if whole:
                return None
            raise Broken(error.fault, StreamTruncated(detail=str(error))) from None


@dataclass(frozen=True, slots=True)
class Progress:
    """What a stream has used so far, for whoever looks at it meanwhile: as its replica told, else a
    token for each piece. It knows no reply: that knows it."""

    stream: Stream
    delivered: Delivered

    def __call__(self) -> Usage:
        """A few microseconds; nothing is kept of it."""
        used = self.stream.used
        return used or Usage(completion=self.delivered.chunks, estimated=True)


async def follow(opened: Opened) -> AsyncIterator[bytes]:
    """The stream from its first events to `[DONE]`, which is sent only after a real finish. When
    it breaks, `opened.rescue` is asked; LLMError when there is no way on."""
    assert opened.stream is not None
    delivered, tail = opened.delivered, b""
    opened.reply.pace = pace = Pace()
    clock, chunk = opened.lease.clock, pace.chunk
    piece: bytes | None = opened.stream.first
    try:
        while True:
            try:
                while piece is not None:
                    if piece:
                        delivered.add(piece)
                        chunk(clock())
                        yield piece
                    piece = await opened.stream.next()
                break
            except Broken as broken:
                opened.fault = broken.fault
                if broken.fault is None or opened.rescue is None:
                    raise broken.error from None
                last = await opened.rescue(opened, broken)
                if last is not None:
                    tail = last
                    break
                piece = opened.stream.first
    finally:
        note_end(opened)
    opened.reply.complete = True
    if tail:
        yield tail
    yield DONE
    await _drain(opened)


def note_end(opened: Opened) -> None:
    """What the stream has said of its end so far; of one that was cut, at least our guess at what
    it has used."""
    reply, stream = opened.reply, opened.stream
    if stream is None:
        return
    watch, used = stream.watch, stream.used
    if used is None:
        used = of_stream(stream.lease.call.body, opened.delivered.events)
    reply.usage = used
    reply.finish_reason = reply.finish_reason or watch.finish_reason
    reply.stop_reason = watch.stop_reason


async def _drain(opened: Opened) -> None:
    # A connection that has been read to its end can be used again; one that stays open
    # after [DONE] is not worth waiting for.
    stream = opened.stream
    if stream is None or opened.lease.ended:
        return
    with suppress(TimeoutError, WireError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            await anext(stream.chunks, None)
