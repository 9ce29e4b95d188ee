"""The rooms in a straight line: identify, guard, admission, engine; then settle, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio

from gateway.domain.call import Call, Outcome, Reply
from gateway.domain.ports import Prepare, Replica, Telemetry
from gateway.domain.record import Record
from gateway.domain.sse import DONE
from gateway.flow.admission import Admission
from gateway.flow.books import Books
from gateway.flow.engine import Engine
from gateway.flow.guard import Guard
from gateway.flow.identify import Identify
from gateway.flow.meter import Meter


class Pipeline:
    """Satisfies ports.Answers. `books` say what time it is, and keep what was used."""

    def __init__(
        self,
        identify: Identify,
        guard: Guard,
        admission: Admission,
        engine: Engine,
        telemetry: Telemetry,
        books: Books,
    ) -> None:
        self._identify = identify
        self._guard = guard
        self._admission = admission
        self._engine = engine
        self._telemetry = telemetry
        self._books = books

    @asynccontextmanager
    async def answer(self, call: Call, prepare: Prepare | None = None) -> AsyncIterator[Reply]:
        """Walk `call` to a replica. `prepare` fills its body once the caller is known, so that
        nobody learns anything of a request's contents, or costs us work, without a key.
        Leaving the block settles the call, once, whatever happened. A cancellation that is ours
        (`call.cut`) becomes its error. A rehearsal ends before it would take a slot, with an empty
        reply: key and policies hold, and no replica hears of it."""
        async with self._settling(call) as meter, AsyncExitStack() as rooms:
            yield await self._walk(call, prepare, meter, rooms)

    @asynccontextmanager
    async def _settling(self, call: Call) -> AsyncIterator[Meter]:
        meter = Meter(call, self._books.clock)
        call.record = Record(self._books.clock)
        self._telemetry.started(call)
        self._books.floor.enter(meter)
        try:
            yield meter
        except asyncio.CancelledError as error:
            meter.error = call.cut()
            if meter.error is None:
                meter.error = error
                raise
            raise meter.error from None
        except BaseException as error:
            meter.error = error
            raise
        finally:
            outcome = meter.outcome()
            # The error's traceback knows `meter`, and so do the reply's chunks: cycles, with all of
            # the call in them.
            meter.error, meter.reply, meter.ending = None, None, True
            self._books.enter(meter, outcome)
            await self._settle(meter, outcome)

    async def _check(self, call: Call, prepare: Prepare | None) -> tuple[Replica, ...]:
        call.caller = self._identify(call)
        if prepare is not None:
            await prepare(call)
        self._identify.permit(call)
        # What is said of a model holds for its aliases: no other name is a way around it.
        call.alias = call.model, self._engine.check(call)[0].model
        await self._guard.before(call)
        known = self._engine.check(call)  # a policy may have sent it to another model
        await self._engine.fit(call)
        return known

    async def _walk(
        self, call: Call, prepare: Prepare | None, meter: Meter, rooms: AsyncExitStack
    ) -> Reply:
        known = await self._check(call, prepare)
        if call.rehearsal:
            meter.reply = Reply(_nothing(call.stream), call.stream, replica="", complete=True)
            return meter.reply
        await rooms.enter_async_context(self._admission.slot(call))
        opening = self._engine.open(call, meter.attempts, known)
        reply = await rooms.enter_async_context(opening)
        meter.reply = reply
        if self._guard.watches(call):
            reply.chunks = self._guard.filter(call, reply.chunks, reply.stream)
        reply.chunks = self._books.watch(meter, reply.chunks)
        return reply

    async def _settle(self, meter: Meter, outcome: Outcome) -> None:
        call = meter.call
        try:
            if call.holds or self._guard.settles(call):
                await _to_its_end(self._end(call, outcome))
        finally:
            self._books.floor.leave(meter, outcome)
            self._telemetry.settled(call, outcome)

    async def _end(self, call: Call, outcome: Outcome) -> None:
        """First what it holds: others wait for that, and a policy's `after` may take its time."""
        try:
            await call.holds.release(outcome)
        finally:
            await self._guard.after(call, outcome)


async def _nothing(stream: bool) -> AsyncIterator[bytes]:
    """An answer without a word, as a replica would give it."""
    yield DONE if stream else b'{"choices": [{"message": {"content": ""}}]}'


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Not even the client's leaving may lose the record of what was used: a cancellation that comes
    while `work` runs goes on after it."""
    task = asyncio.ensure_future(work)
    left: asyncio.CancelledError | None = None
    # The scope keeps anyio's cancellations out, the task asyncio's own.
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                left = error
    if left is not None:
        raise left
    task.result()
