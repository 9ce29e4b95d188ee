"""Room 4: a slot on the model's replicas, or a place in its queue, or an honest refusal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.domain.call import Call
from gateway.domain.errors import Overloaded
from gateway.domain.limits import QueueLimits

# Weight of the newest call in the running mean of how long a slot is held.
_NEWEST = 0.1


@dataclass(slots=True)
class _Line:
    """The calls of one model: how many run, and who waits, first come first served."""

    running: int = 0
    held_seconds: float = 1.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Admission:
    """`capacity(model)` is the sum of its replicas' slots; `clock` gives monotonic seconds."""

    def __init__(
        self, capacity: Callable[[str], int], limits: QueueLimits, clock: Callable[[], float]
    ) -> None:
        self._capacity = capacity
        self._limits = limits
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    def waiting(self, model: str) -> int:
        """Calls in the queue of a model."""
        line = self._lines.get(model)
        return len(line.waiting) if line else 0

    def running(self, model: str) -> int:
        """Slots of a model in use."""
        line = self._lines.get(model)
        return line.running if line else 0

    @asynccontextmanager
    async def slot(self, call: Call) -> AsyncIterator[None]:
        """Hold one slot of `call.model` inside this block. Overloaded when the queue is full or
        the wait too long; `call.queue_seconds` says how long it was."""
        line = self._lines.setdefault(call.model, _Line())
        asked = self._clock()
        try:
            if line.running < self._capacity(call.model) and not line.waiting:
                line.running += 1
            else:
                await self._queue(call, line)
        finally:
            began = self._clock()
            call.queue_seconds = began - asked
        try:
            yield
        finally:
            held = self._clock() - began
            line.held_seconds += _NEWEST * (held - line.held_seconds)
            self._leave(call.model, line)

    async def _queue(self, call: Call, line: _Line) -> None:
        if len(line.waiting) >= self._limits.size:
            raise self._overloaded(call, line, "queue full")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.waiting.append(turn)
        try:
            async with asyncio.timeout(min(self._limits.wait, call.deadline - self._clock())):
                await turn
        except BaseException as error:
            # The slot may have been handed over in the very moment that the caller gave up.
            if turn.done() and not turn.cancelled():
                self._leave(call.model, line)
            elif turn in line.waiting:  # else it was passed over as given up already
                line.waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._overloaded(call, line, "waited too long") from None
            raise

    def _leave(self, model: str, line: _Line) -> None:
        """Give the slot to the next in the queue, or back."""
        line.running -= 1
        while line.waiting and line.running < self._capacity(model):
            turn = line.waiting.popleft()
            if not turn.done():
                line.running += 1
                turn.set_result(None)

    def _overloaded(self, call: Call, line: _Line, why: str) -> Overloaded:
        slots = max(1, self._capacity(call.model))
        seconds = max(1.0, (len(line.waiting) + 1) * line.held_seconds / slots)
        detail = f"{why}: {line.running} running, {len(line.waiting)} waiting for {call.model!r}"
        return Overloaded(detail=detail, retry_after=seconds)
