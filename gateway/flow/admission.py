"""Room 4: a slot on the model's replicas, or a place in its queue, or an honest refusal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from gateway.domain.call import Call
from gateway.domain.errors import LLMTimeoutError, Overloaded
from gateway.domain.limits import Priority, QueueLimits
from gateway.domain.live import LiveQueue
from gateway.domain.step import Step
from gateway.flow.drain import Drain
from gateway.flow.line import Line, Waiting

# Replicas that come back make room without any call ending; somebody must look.
_LOOK_SECONDS = 0.25
_LONGEST_RETRY_AFTER = 300.0


@dataclass(slots=True, eq=False)
class _Desk:
    """The slots of one model: how many are taken, who waits for one, how fast they come free."""

    model: str
    line: Line
    running: int = 0
    slots: int = 0
    drain: Drain = field(default_factory=Drain)
    look: asyncio.TimerHandle | None = None


def _same(model: str) -> str:
    return model


class Admission:
    """`capacity(model)` is the sum of its replicas' slots, 0 where it never had a replica (then
    nobody waits: the engine knows what to say); `group(model)` is the name that all aliases of a
    model share; `clock` gives monotonic seconds. `on_depth(model, priority, change)` and
    `on_shed(model, priority)` hear of calls that wait, and of those sent away."""

    def __init__(
        self,
        capacity: Callable[[str], int],
        limits: QueueLimits,
        clock: Callable[[], float],
        *,
        group: Callable[[str], str] = _same,
        on_depth: Callable[[str, Priority, int], None] = lambda model, priority, change: None,
        on_shed: Callable[[str, Priority], None] = lambda model, priority: None,
    ) -> None:
        self._capacity = capacity
        self._limits = limits
        self._clock = clock
        self._group = group
        self._on_depth = on_depth
        self._on_shed = on_shed
        self._desks: dict[str, _Desk] = {}

    def waiting(self, model: str) -> int:
        """Calls in the queue of a model."""
        desk = self._desks.get(self._group(model))
        return len(desk.line) if desk else 0

    def running(self, model: str) -> int:
        """Slots of a model in use."""
        desk = self._desks.get(self._group(model))
        return desk.running if desk else 0

    def queues(self) -> list[LiveQueue]:
        """Each model that was asked for, as it is now."""
        return [
            LiveQueue(
                model=desk.model,
                running=desk.running,
                slots=self._capacity(desk.model) or None,
                waiting=len(desk.line),
            )
            for desk in self._desks.values()
        ]

    def adopt(self, limits: QueueLimits) -> None:
        """These limits from now on, for those who wait already too; nobody is sent away."""
        self._limits = limits
        for desk in self._desks.values():
            desk.line.adopt(limits.weights, limits.relief)
        self.refresh()

    def refresh(self) -> None:
        """Capacity may have grown: whoever has a slot now goes on at once."""
        for desk in self._desks.values():
            self._serve(desk)

    @asynccontextmanager
    async def slot(self, call: Call) -> AsyncIterator[None]:
        """Hold one slot of `call.model` inside this block. Overloaded when the queue is full or
        the wait too long, LLMTimeoutError when the call's own time is up before;
        `call.queue_seconds` says how long it waited."""
        desk = self._desk(call.model)
        asked = self._clock()
        try:
            waited = desk.running >= self._slots(desk) or bool(desk.line)
            if not waited:
                desk.running += 1
            else:
                await self._queue(call, desk)
        finally:
            began = self._clock()
            call.queue_seconds = began - asked
            if waited:
                facts = {"gw.priority": call.priority.value}
                call.stepped(Step("queue.wait", asked, began, facts))
        hold = call.holds.take(partial(self._free, desk, began))
        try:
            yield
        finally:
            hold.give_back()

    def _desk(self, model: str) -> _Desk:
        group = self._group(model)
        desk = self._desks.get(group)
        if desk is None:
            limits = self._limits
            line = Line(limits.weights, limits.relief, partial(self._on_depth, group))
            desk = self._desks[group] = _Desk(group, line)
        return desk

    def _slots(self, desk: _Desk) -> int:
        # Those who wait for a model that a reload takes away are not let in all at once.
        desk.slots = self._capacity(desk.model) or desk.slots
        return desk.slots or sys.maxsize

    async def _queue(self, call: Call, desk: _Desk) -> None:
        now = self._clock()
        desk.drain.full(now)
        self._make_room(call, desk)
        place = Waiting(call, asyncio.get_running_loop().create_future())
        facts = {"ahead": desk.line.ahead(call.priority), "running": desk.running}
        call.note("queued", priority=str(call.priority), waiting=len(desk.line), **facts)
        desk.line.add(place)
        self._look_again(desk)
        left, wait = call.deadline - now, self._limits.wait
        try:
            async with asyncio.timeout(max(0.0, min(left, wait))):
                refused = await place.turn
        except BaseException as error:
            self._give_up(desk, place)
            if not isinstance(error, TimeoutError):
                raise
            if left < wait:
                raise self._out_of_time(call, desk) from None
            raise self._overloaded(call, desk, "queue_timeout") from None
        if refused is not None:
            raise refused
        call.note("slot", waited=round(self._clock() - now, 3))

    def _give_up(self, desk: _Desk, place: Waiting) -> None:
        desk.line.remove(place)
        # The slot may have been handed over in the very moment that the caller gave up.
        if place.turn.done() and not place.turn.cancelled() and place.turn.result() is None:
            self._leave(desk)

    def _make_room(self, call: Call, desk: _Desk) -> None:
        """A place in the queue for `call`; Overloaded when it is the one that has to go."""
        if len(desk.line) < self._limits.size:
            return
        victim = desk.line.victim(call) if self._limits.size else None
        if victim is None:
            raise self._overloaded(call, desk, "queue_full")
        desk.line.remove(victim)
        if not victim.turn.done():  # else it has just left by itself
            victim.turn.set_result(self._overloaded(victim.call, desk, "queue_shed"))

    def _free(self, desk: _Desk, began: float) -> None:
        """A slot that was taken at `began` comes back."""
        now = self._clock()
        desk.drain.freed(now - began, now)
        self._leave(desk)

    def _leave(self, desk: _Desk) -> None:
        desk.running -= 1
        self._serve(desk)

    def _serve(self, desk: _Desk) -> None:
        """Give every free slot to whoever is next."""
        if not desk.line and not desk.drain.counting:
            return
        slots = self._slots(desk)
        while desk.line and desk.running < slots:
            place = desk.line.take()
            if not place.turn.done():
                desk.running += 1
                place.turn.set_result(None)
        if not desk.line and desk.running < slots:
            desk.drain.slack()

    def _look_again(self, desk: _Desk) -> None:
        """While anybody waits, and only then, look now and then whether there is more room."""
        if desk.look is None:
            loop = asyncio.get_running_loop()
            desk.look = loop.call_later(_LOOK_SECONDS, self._looked, desk)

    def _looked(self, desk: _Desk) -> None:
        desk.look = None
        self._serve(desk)
        if desk.line:
            self._look_again(desk)

    def _out_of_time(self, call: Call, desk: _Desk) -> LLMTimeoutError:
        call.note("refused", why="deadline")
        seconds = self._retry_after(call, desk)
        return LLMTimeoutError(detail="its time was up in the queue", retry_after=seconds)

    def _overloaded(self, call: Call, desk: _Desk, code: str) -> Overloaded:
        self._on_shed(desk.model, call.priority)
        seconds = self._retry_after(call, desk)
        call.note("refused", why=code, retry_after=round(seconds, 1))
        detail = f"{code}: {desk.running} running, {len(desk.line)} waiting for {desk.model!r}"
        return Overloaded(detail=detail, code=code, retry_after=seconds)

    def _retry_after(self, call: Call, desk: _Desk) -> float:
        """Seconds until a call of this priority that came now would have its turn."""
        turns, slots = desk.line.ahead(call.priority) + 1, max(1, self._capacity(desk.model))
        seconds = desk.drain.seconds(turns, slots, self._clock())
        return min(_LONGEST_RETRY_AFTER, max(1.0, seconds))
