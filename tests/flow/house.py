"""All rooms of the pipeline on fakes: House, and what its tests do to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from gateway.domain.call import Call, Caller, Outcome
from gateway.domain.keyring import FixedKeys
from gateway.domain.ledger import MemoryLedger
from gateway.domain.limits import QueueLimits, Timeouts
from gateway.domain.policy import Link, Policy, Tools
from gateway.domain.ports import Prepare, Replica
from gateway.domain.retry import RetryRule
from gateway.flow.admission import Admission
from gateway.flow.attempt import Attempts
from gateway.flow.books import Books
from gateway.flow.engine import Engine
from gateway.flow.guard import Guard
from gateway.flow.identify import Identify
from gateway.flow.pipeline import Pipeline
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeProbe,
    FakeRouter,
    FakeTelemetry,
    FakeWire,
    a_call,
)


def forever() -> object:
    return asyncio.Event().wait()


class Rule(Policy):
    """Hears everything; what it does then is told to it."""

    def __init__(
        self,
        before: Callable[[Call], object] = lambda call: None,
        after: Callable[[Call], object] = lambda call: None,
    ) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self._before, self._after = before, after
        self.entered: list[Call] = []
        self.settled: list[Outcome] = []

    async def before(self, call: Call) -> None:
        self.entered.append(call)
        if asyncio.iscoroutine(waiting := self._before(call)):
            await waiting

    async def after(self, call: Call, outcome: Outcome) -> None:
        if asyncio.iscoroutine(waiting := self._after(call)):
            await waiting
        self.settled.append(outcome)


class Telling(FakeTelemetry):
    """Knows to which call each outcome and each attempt belongs."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[tuple[Call, Outcome]] = []
        self.tried: list[Call] = []

    def attempt(self, call: Call, replica: Replica, number: int) -> FakeProbe:
        self.tried.append(call)
        return super().attempt(call, replica, number)

    def settled(self, call: Call, outcome: Outcome) -> None:
        super().settled(call, outcome)
        self.ends.append((call, outcome))


class House:
    """All rooms on fakes; two slots for each replica unless told otherwise."""

    def __init__(
        self,
        answers: Iterable[FakeAnswer | BaseException] = (),
        *,
        chain: Sequence[Link] = (),
        keys: Mapping[str, Caller] | None = None,
        router: FakeRouter | None = None,
        queue: QueueLimits | None = None,
        wire: FakeWire | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.router = router or FakeRouter()
        self.wire = wire or FakeWire(answers)
        self.telemetry = Telling()
        self.ledger = MemoryLedger()
        self.limits = queue or QueueLimits(slots=2)
        self.asked_capacity: list[str] = []
        self.admission = Admission(self.capacity, self.limits, self.clock)
        attempts = Attempts(self.router, self.wire, self.telemetry, Timeouts(), self.clock)
        rule = RetryRule(1, (0.0,), jitter=0.0)
        self.pipeline = Pipeline(
            Identify(FixedKeys(keys or {}), time.time),
            Guard(chain, on_verdict=self.telemetry.verdict, clock=self.clock),
            self.admission,
            Engine(self.router, attempts, rule, clock=self.clock, random=lambda: 0.5),
            self.telemetry,
            Books(self.clock, self.ledger),
        )

    def capacity(self, model: str) -> int:
        self.asked_capacity.append(model)
        return self.limits.slots * len(self.router.replicas(model))

    async def ask(self, call: Call | None = None, prepare: Prepare | None = None) -> bytes:
        async with self.pipeline.answer(call or a_call(), prepare) as reply:
            return b"".join([piece async for piece in reply.chunks])

    @property
    def outcome(self) -> Outcome:
        """That of the one call; there must not be another."""
        (outcome,) = self.telemetry.outcomes
        return outcome

    def idle(self) -> bool:
        """No slot, place in a queue, load or connection is held, and each attempt ended once."""
        models = set(self.asked_capacity)
        held = [self.admission.running(m) + self.admission.waiting(m) for m in models]
        probes = [len(probe.ended) == 1 for probe in self.telemetry.probes]
        answers = [answer.released != answer.closed for answer in self.wire.given]
        return not any([*held, *self.router.load.values()]) and all([*probes, *answers])


async def left(task: asyncio.Task[Any]) -> None:
    """The client leaves, and `task` comes to its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
