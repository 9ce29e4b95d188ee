"""Counters in Redis, shared by all processes: each operation is one script, in one round trip."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count, islice

from gateway.adapters import redis_words
from gateway.adapters.redis_line import RedisLine
from gateway.adapters.redis_scripts import BALANCE, CLAIM, RENEW, SEPARATOR, SETTLE
from gateway.adapters.redis_words import Word
from gateway.adapters.seeding import Seeds
from gateway.domain.counters import (
    Balance,
    Claim,
    CountersUnavailable,
    Full,
    Held,
    Window,
    checked,
)

_log = logging.getLogger("gateway.counters")

# The braces put all keys on one node where Redis is a cluster.
PREFIX = "{vllm-gateway}:c:"
# Settled while Redis is away, and not written yet; past that the oldest is lost.
_MOST_KEPT = 100_000
_AT_ONCE = 256
# Redis may have come back empty meanwhile, and not know what is held.
_LOOK_S = 1.0
_AGAIN_S = (0.02, 0.05, 0.1, 0.25, 0.5)
_FLUSH_S = 2.0


@dataclass(slots=True)
class _Settling:
    """One settlement until Redis has it; `since` is when it was first tried, in monotonic s."""

    hold: RedisHeld
    epoch: str
    amounts: Mapping[str, int]
    since: float


@dataclass(slots=True, eq=False)
class RedisHeld:
    """Satisfies Held. `epoch`: the life of Redis in which it was claimed; "" while unknown."""

    counters: RedisCounters = field(repr=False)
    id: str
    group: str
    ttl_ms: int
    claims: tuple[Claim, ...]
    epoch: str = ""
    balances: Mapping[str, Balance] = field(default_factory=dict)
    _settled: asyncio.Future[Mapping[str, Balance]] | None = None

    @property
    def settled(self) -> bool:
        """Whether it is over, written or not."""
        return self._settled is not None

    async def settle(self, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """Once; who asks again while it is being written is told the same."""
        if self._settled is not None:
            return await asyncio.shield(self._settled)
        self._settled = asyncio.get_running_loop().create_future()
        told: Mapping[str, Balance] = {}
        try:
            told = await self.counters.settle(self, amounts)
        finally:
            self._settled.set_result(told)
        return told


class RedisCounters:
    """Satisfies domain.counters.Counters, for all gateways that share this Redis. Holds are
    renewed, and what could not be settled is written, inside `async with counters.running()`.
    `told` hears whether Redis answers, on a change; `lost` of settlements that never reached it.
    `process` names this one there, `epoch` the life of that Redis: a new one was empty.
    """

    def __init__(
        self,
        url: str,
        *,
        told: Callable[[bool], None] = lambda is_so: None,
        lost: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._line = RedisLine(url, f"{PREFIX}groups", self._heard)
        self._told = told
        self._lost = lost
        self.process = uuid.uuid4().hex[:16]
        self._ids = count(1)
        self._seeds = Seeds()
        self.epoch = ""
        self._live: dict[str, RedisHeld] = {}
        self._kept: dict[int, _Settling] = {}
        self._work = asyncio.Event()

    @property
    def available(self) -> bool:
        """Whether Redis answered when it was last asked; True until it was."""
        return self._line.available

    @property
    def kept(self) -> int:
        """Settlements that are not written yet."""
        return len(self._kept)

    async def claim(self, claims: Sequence[Claim], *, ttl_s: float = 60.0) -> Held:
        """All or none, in one step for all processes."""
        checked(claims)
        ttl_ms = max(1, int(ttl_s * 1000))
        hold = RedisHeld(
            self, f"{next(self._ids):x}", f"{self.process}.{ttl_ms}", ttl_ms, tuple(claims)
        )
        await self._take(hold, hold.claims)
        self._live[hold.id] = hold
        if len(self._live) == 1:
            self._work.set()  # from now on there is something to renew
        return hold

    async def balance(self, account: str, limit: int | None, window: Window) -> Balance:
        """How an account stands; one that nobody knows stands at 0."""
        words: list[Word] = [PREFIX, *redis_words.balance_words(account, limit, window)]
        said = await self._line.ask(BALANCE, words)
        return redis_words.balance_of(said.split(SEPARATOR)[1], limit, window)

    async def _take(self, hold: RedisHeld, claims: Sequence[Claim]) -> None:
        """Claim them for this hold: asked twice, it is claimed once."""
        used: dict[str, int] = {}
        began = time.monotonic()
        while True:
            age = int((time.monotonic() - began) * 1000)
            words: list[Word] = [PREFIX, hold.group, hold.id, hold.ttl_ms, age]
            words += redis_words.claim_words(claims, used)
            head, *rest = (await self._sure(hold, words)).split(SEPARATOR)
            verdict, *facts = head.split(" ")
            if verdict == "ask":
                began = time.monotonic()
                used |= await self._seeds.ask([claims[int(float(n))] for n in facts])
                continue
            if verdict == "full":
                claim = claims[int(float(facts[0]))]
                raise Full(claim, redis_words.balance_of(rest[0], claim.limit, claim.window))
            if verdict != "ok":
                raise CountersUnavailable(detail="the claim had been given up")
            hold.epoch = facts[0]
            self._meet(hold.epoch)
            hold.balances = redis_words.balances(claims, rest)
            return

    async def _sure(self, hold: RedisHeld, words: Sequence[Word]) -> str:
        """What Redis says to a claim. Where it says nothing, it may still get to it: then it is
        told that nobody wants that any more."""
        if not self.available:
            raise CountersUnavailable(detail="redis is away")
        try:
            return await self._line.ask(CLAIM, words)
        except BaseException:
            if not hold.epoch:
                self._keep(_Settling(hold, "", {}, time.monotonic()))
            raise

    async def settle(self, hold: RedisHeld, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """What it holds becomes these amounts; kept for later where Redis does not answer."""
        self._live.pop(hold.id, None)
        settling = _Settling(hold, hold.epoch, dict(amounts), time.monotonic())
        written = False
        try:
            told = await self._write(settling)
            written = True
            return told
        except CountersUnavailable:
            return {}
        finally:
            if not written:
                self._keep(settling)

    async def _write(self, one: _Settling) -> Mapping[str, Balance]:
        hold = one.hold
        age = int((time.monotonic() - one.since) * 1000)
        words: list[Word] = [PREFIX, hold.group, hold.id, one.epoch, age]
        words += redis_words.settle_words(hold.claims, one.amounts)
        head, *rest = (await self._line.ask(SETTLE, words)).split(SEPARATOR)
        self._meet(head.partition(" ")[2])
        return redis_words.balances(hold.claims, rest)

    def _keep(self, one: _Settling) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._lose(self._kept.pop(next(iter(self._kept))))
        self._kept[next(self._ids)] = one
        self._work.set()

    def _lose(self, *lost: _Settling) -> None:
        """What nobody knows to have been claimed was no settlement."""
        if many := sum(bool(one.epoch) for one in lost):
            self._lost(many)

    def _heard(self, is_so: bool) -> None:
        self._work.set()
        self._told(is_so)

    def _meet(self, epoch: str) -> None:
        """Another epoch: Redis came back empty, and what lives must be claimed anew."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._work.set()

    async def aclose(self) -> None:
        """Close the connections. What is held lapses; what is not written yet is lost."""
        await self._line.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this lasts, holds are renewed and settlements written; what is left, at its end."""
        await self._line.connect(CLAIM, SETTLE, RENEW)
        task = asyncio.create_task(self._keep_up())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._leave()

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            self._work.clear()
            try:
                await self._renew()
                await self._catch_up()
                await self._restore()
            except CountersUnavailable:
                await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])
                failures += 1
                continue
            except Exception:
                # A marked edge: whatever goes wrong here, holds must be renewed again.
                _log.exception("shared counters: renewing failed")
                await asyncio.sleep(_AGAIN_S[-1])
                continue
            failures = 0
            # Not wait_for, which may swallow the cancellation that ends this task.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._work.wait()

    def _pause(self) -> float:
        return min([_LOOK_S, *(hold.ttl_ms / 3000 for hold in self._live.values())])

    async def _renew(self) -> None:
        """One command for all that this process holds."""
        words: list[Word] = [PREFIX, uuid.uuid4().hex]
        for group, ttl_ms in {hold.group: hold.ttl_ms for hold in self._live.values()}.items():
            words += [group, ttl_ms]
        said = await self._line.ask(RENEW, words, anyway=True)
        self._meet(said.partition(" ")[2])

    async def _catch_up(self) -> None:
        """Write what was kept, until all of it is: Redis counts each but once."""
        while self._kept:
            batch = dict(islice(self._kept.items(), _AT_ONCE))
            writing = [self._write(one) for one in batch.values()]
            results = await asyncio.gather(*writing, return_exceptions=True)
            failed = [one for one in results if isinstance(one, BaseException)]
            for number, result in zip(batch, results, strict=True):
                if not isinstance(result, BaseException):
                    self._kept.pop(number, None)  # it may have been lost meanwhile
            if failed:
                raise failed[0]

    async def _restore(self) -> None:
        """Claim anew, past all limits, what lives and was lost with an earlier Redis."""
        for hold in [one for one in self._live.values() if one.epoch != self.epoch]:
            freely = [
                Claim(one.account, one.amount, None, one.window, one.seed) for one in hold.claims
            ]
            try:
                await self._take(hold, freely)
            finally:
                if hold.settled:  # meanwhile: nobody else would give back what was just taken
                    self._keep(_Settling(hold, "", {}, time.monotonic()))

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._catch_up()
        except (TimeoutError, CountersUnavailable):
            _log.warning("shared counters: %d settlements were not written", len(self._kept))
            self._lose(*self._kept.values())
        await self.aclose()
