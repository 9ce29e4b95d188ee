"""The attempts of one call within one model: which replica next, when, and when no more. Walk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf

from gateway.domain.call import Attempt, Call
from gateway.domain.errors import ModelNotFound
from gateway.domain.metrics import HEDGES, RETRIES_DENIED
from gateway.domain.ports import Replica, Router, Tokens
from gateway.domain.retry import Fault, RetryRule
from gateway.domain.retry_budget import RetryBudget
from gateway.domain.standing import Regard
from gateway.flow.asking import Ask
from gateway.flow.attempt import AttemptFailed, Attempts
from gateway.flow.hedge import Attempting, Hedging, race
from gateway.flow.herd import Herd
from gateway.flow.lease import Opened
from gateway.flow.window import Window


@dataclass(frozen=True, slots=True)
class Means:
    """What an engine may spend beyond a first attempt. Without a `budget` retries are bounded by
    their rule alone; without `hedging` nothing is hedged; without `tokens` delivered text is
    counted by its pieces; without `window` replicas say what is too long for them."""

    budget: RetryBudget | None = None
    hedging: Hedging | None = None
    tokens: Tokens | None = None
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class Gear:
    """What every walk needs. `clock` gives monotonic seconds, `random` a number in [0, 1)."""

    router: Router
    attempts: Attempts
    rule: RetryRule
    clock: Callable[[], float]
    random: Callable[[], float]
    means: Means = field(default_factory=Means)
    herd: Herd = field(default_factory=Herd)


class Walk:
    """Makes attempts until one works, the rule or the budget forbids more, or the time is up.
    Another replica is tried at once; one that has failed already, only after a back-off. Every
    attempt that is over is added to `made`. `known` are the model's replicas when the call came in:
    a reload that takes the model away leaves them to it."""

    def __init__(
        self,
        gear: Gear,
        call: Call,
        model: str,
        made: list[Attempt],
        known: Sequence[Replica] = (),
    ) -> None:
        self._gear = gear
        self._call = call
        self.model = model
        self.made = made
        self._known = known
        self._removed = False
        self._went_on = False
        self._left_to_go_on = gear.rule.limit
        self._tried: set[str] = set()
        self._rests: dict[str, float] = {}
        self._rested = -inf  # whoever failed before this moment
        self._waits = 0
        self._open = 0
        self._moved = False
        self.last: Replica | None = None

    async def first(self, ask: Ask) -> Opened:
        """The answer, begun. AttemptFailed is that of the last attempt."""
        return await self._go(ask, None)

    async def again(
        self, ask: Ask, failed: AttemptFailed, replica: Replica, *, further: bool = False
    ) -> Opened:
        """As `first`, after an answer from `replica` broke off. When that happens first, or the
        answer was brought `further` since, there are as many attempts as the rule's limit, and
        the budget is not asked as long as there is a replica to go to at once: going on costs less
        than the answer that would be lost. Else there are as many as were left, at its expense.
        One that failed longer ago than a back-off lasts may be asked again at once, after all that
        have not failed: two that stall would else take the attempts that a third was to have."""
        self._rested = self._gear.clock() - self._gear.rule.delay(1, 0.5)
        if further:
            self._left_to_go_on, self._went_on = self._gear.rule.limit, False
        self._failed(replica, failed)
        self.last = replica
        if ask.reshape is not None:
            # A provider may refuse to go on with a begun answer, or begin it anew.
            mates = (*self._gear.router.replicas(self.model), *self._known)
            self._tried.update(barred := [one.id for one in mates if one.provider])
            self._rests.update(dict.fromkeys(barred, inf))
        free, self._went_on = not self._went_on, True
        self._moved = False
        return await self._go(ask, failed, free=free)

    async def _go(self, ask: Ask, failed: AttemptFailed | None, *, free: bool = False) -> Opened:
        going_on = failed is not None
        most = self._left_to_go_on if going_on else self._gear.rule.limit + 1
        try:
            for number in range(1, most + 1):
                replica = await self._choose(ask, failed, free=free)
                self._left_to_go_on -= going_on
                self.last, free = replica, free and going_on
                try:
                    return await self._make(replica, ask)
                except AttemptFailed as error:
                    self._failed(replica, error)
                    failed = error
                    spent = self._gear.clock() >= ask.begin_by
                    if spent or not error.fault.elsewhere or number >= most:
                        raise
            assert failed is not None  # a first walk makes at least one attempt
            raise failed
        finally:
            failed = None  # which knows this frame: no cycle is left to the garbage collector

    def _failed(self, replica: Replica, error: AttemptFailed) -> None:
        self._tried.add(replica.id)
        self._rests[replica.id] = self._gear.clock() + (error.retry_after or 0.0)

    def _afford(self, failed: AttemptFailed, *, free: bool) -> None:
        """Another attempt costs a piece of the budget; without one, the last failure is final.
        A `free` one counts too, but is made in any case."""
        budget = self._gear.means.budget
        if budget is None:
            return
        if free:
            budget.take()
            return
        if budget.spend():
            return
        self._call.note("retry_budget", spent=True, after=str(failed.fault))
        self._gear.attempts.telemetry.count(RETRIES_DENIED, str(failed.fault))
        raise failed

    async def _choose(self, ask: Ask, failed: AttemptFailed | None, *, free: bool) -> Replica:
        """Another replica at once, or after a back-off one that has failed already. When a replica
        dies, all of its calls move at once: a call's first move to one that nothing speaks against
        is free. That makes no storm: where all fail, none is trusted."""
        replica = await self._other()
        if replica is None and (barred := {*filter(self._barred, self._tried)}) != self._tried:
            self._tried = barred
            replica = await self._other()
        if replica is not None:
            if failed is not None:
                trusted = self._gear.router.regard(replica) is Regard.TRUSTED
                self._afford(failed, free=free or (trusted and not self._moved))
                self._moved = True
            return replica
        if failed is None or self.last is None:
            raise AttemptFailed(Fault.CONNECT, f"no replica of {self.model!r} is in rotation")
        if not failed.fault.retryable:
            raise failed
        await self._back_off(ask, failed, free=free)
        # All have failed once: begin again with whoever may be asked, or else with the last.
        replica = await self._other() or self._same(self.last)
        if replica is None:
            raise failed
        return replica

    async def _other(self, *others: str) -> Replica | None:
        """One that has not been tried."""
        router, tried = self._gear.router, {*self._tried, *others}
        try:
            return await router.pick(self._call, self.model, tried)
        except ModelNotFound:
            if not self._known:
                raise
        self._removed = True
        left = [
            one
            for one in self._known
            if one.id not in tried and router.regard(one) is not Regard.OUT
        ]
        return left[int(self._gear.random() * len(left))] if left else None

    def _barred(self, replica: str) -> bool:
        return replica in self._tried and self._rests[replica] >= self._rested

    def _same(self, replica: Replica) -> Replica | None:
        """`replica` once more, unless it has been drained, has gone down or has gone meanwhile."""
        regard = self._gear.router.regard(replica)
        gone = regard is Regard.GONE and not self._removed
        return None if gone or regard is Regard.OUT else replica

    async def _back_off(self, ask: Ask, failed: AttemptFailed, *, free: bool) -> None:
        """Wait for whoever of those that failed is back first; `failed` where that is no use."""
        gear, now = self._gear, self._gear.clock()
        self._waits += 1
        # A replica may ask for a longer rest than our back-off, never for a shorter one.
        rests = min((self._rests[one] for one in self._tried), default=now)
        pause = max(gear.rule.delay(self._waits, gear.random()), rests - now)
        if now + pause >= ask.begin_by:
            raise failed
        self._afford(failed, free=free and self._waits == 1)
        await asyncio.sleep(pause)
        self._call.away.seconds += pause
        self._tried = {one for one in self._tried if self._rests[one] > now + pause}

    async def _make(self, replica: Replica, ask: Ask) -> Opened:
        hedging = self._gear.means.hedging
        if hedging is None or ask.graft is not None or not hedging.covers(self.model):
            return await self._attempt(replica, ask)
        patience = hedging.patience(self._call, self.model)
        began = self._gear.clock()
        if patience is None:
            opened = await self._attempt(replica, ask)
        else:
            opened = await self._race(replica, ask, patience)
        hedging.learn(self._call, self.model, self._gear.clock() - began)
        return opened

    async def _race(self, replica: Replica, ask: Ask, patience: float) -> Opened:
        hedge: list[Replica] = []
        places = ExitStack()

        async def second() -> Attempting | None:
            other = await self._second(replica)
            if other is None:
                return None
            hedge.append(other)
            self._call.note("hedge", first=replica.id, second=other.id, after=round(patience, 4))
            return self._soon(other, ask, places)

        result = "failed"
        try:
            first = self._soon(replica, ask, places)
            opened, won = await race(first, second, patience, self.made)
            result = "won" if won else "lost"
            if won:
                self.last = opened.lease.replica
            return opened
        except AttemptFailed as error:
            for other in hedge:
                self._failed(other, error)
            raise
        finally:
            places.close()
            if hedge:
                self._gear.attempts.telemetry.count(HEDGES, result)

    def _soon(self, replica: Replica, ask: Ask, places: ExitStack) -> Attempting:
        """An attempt for a task that begins in the next turn of the loop, or never: until then
        its place on the replica is held, to the end of `places` at the latest."""
        router, held = self._gear.router, places.enter_context(ExitStack())
        router.started(self._call, replica)
        held.callback(router.ended, self._call, replica, None)

        async def attempt() -> Opened:
            held.close()
            return await self._attempt(replica, ask)

        return attempt()

    async def _second(self, replica: Replica) -> Replica | None:
        gear, hedging = self._gear, self._gear.means.hedging
        other = await self._other(replica.id)
        if other is None or hedging is None:
            return None
        if not hedging.spend():
            gear.attempts.telemetry.count(HEDGES, "skipped")
            return None
        return other

    async def _attempt(self, replica: Replica, ask: Ask) -> Opened:
        """One attempt; a stream that has others to go to does not wait for all of the time."""
        gear = self._gear
        self._open += 1
        began, number = gear.clock(), len(self.made) + self._open
        mates = gear.router.replicas(self.model) or self._known
        untried = (r for r in mates if r.id != replica.id and not self._barred(r.id))
        others = any(gear.router.regard(r) is not Regard.OUT for r in untried)
        try:
            opened = await gear.attempts.make(self._call, replica, number, ask, others=others)
        except AttemptFailed as error:
            self._over(replica, str(error.fault), began)
            raise
        except BaseException:
            self._over(replica, "cancelled", began)
            raise
        self._open -= 1
        return opened

    def _over(self, replica: Replica, result: str, began: float) -> None:
        seconds = self._gear.clock() - began
        self._open -= 1
        self.made.append(Attempt(replica.id, result, seconds))
        self._call.note("attempt", replica=replica.id, result=result, seconds=round(seconds, 4))
