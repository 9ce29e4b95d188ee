"""Hundreds of clients torn away by chance, in every room: nothing is held or forgotten."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from gateway.domain.call import Call, Outcome, OutcomeKind
from gateway.domain.errors import (
    GatewayError,
    Refusal,
)
from gateway.domain.limits import QueueLimits
from gateway.domain.policy import Delta, Link, Policy, Tools
from gateway.domain.ports import Replica, WireError
from gateway.domain.retry import Fault
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)
from tests.flow.house import House, forever, turns


@dataclass(slots=True)
class Chance:
    """Seeded randomness for one storm of calls."""

    random: random.Random

    async def pause(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    def answer(self, stream: bool) -> FakeAnswer | BaseException:
        kind = self.random.randrange(10)
        if kind == 0:
            return failing(self.random.choice([400, 429, 500, 503]))
        if kind == 1:
            return WireError(self.random.choice([Fault.CONNECT, Fault.TIMEOUT]), "by chance")
        if kind == 2:
            return FakeAnswer(steps=(b"<html>",))
        if kind == 3:
            return FakeAnswer(steps=(chunk("he"), WireError(Fault.BROKEN, "by chance")))
        answer = streamed("he", "ll", "o") if stream else plain("hello")
        steps = list(answer.steps)
        for _ in range(self.random.randrange(3)):
            steps.insert(self.random.randrange(len(steps)), self.pause)
        if kind == 4:
            steps.insert(self.random.randrange(len(steps)), forever)
        return replace(answer, steps=tuple(steps))


class Lottery(FakeWire):
    """Answers by chance, after a while."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self._chance = chance

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> FakeAnswer:
        await self._chance.pause()
        self.answers.append(self._chance.answer(b'"stream":true' in (body or b"")))
        return await super().send(method, url, headers=headers, body=body)


class Pausing(FakeRouter):
    """Every question to it may take a while."""

    def __init__(self, chance: Chance) -> None:
        super().__init__(a_replica("r0"), a_replica("r1"))
        self._chance = chance

    async def pick(self, *args: Any) -> Replica | None:
        await self._chance.pause()
        return await super().pick(*args)

    async def succeeded(self, *args: Any) -> None:
        await self._chance.pause()
        await super().succeeded(*args)


class Wavering(Policy):
    """Takes its time at every moment, and now and then refuses or breaks."""

    window = 2

    def __init__(self, chance: Chance) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self._chance = chance
        self.entered: list[int] = []
        self.settled: list[int] = []

    async def before(self, call: Call) -> None:
        self.entered.append(id(call))
        await self._waver(40)

    async def during(self, call: Call, delta: Delta) -> Delta:
        await self._waver(80)
        return delta

    async def after(self, call: Call, outcome: Outcome) -> None:
        self.settled.append(id(call))
        await self._waver(10)

    async def _waver(self, odds: int) -> None:
        await self._chance.pause()
        if self._chance.random.randrange(odds) == 0:
            raise Refusal("by chance")
        if self._chance.random.randrange(odds) == 0:
            raise ZeroDivisionError


async def _visit(house: House, call: Call, chance: Chance, early: bool) -> None:
    async def prepare(call: Call) -> None:
        await chance.pause()

    with suppress(GatewayError):
        async with house.pipeline.answer(call, prepare) as reply:
            await chance.pause()
            async for _ in reply.chunks:
                await chance.pause()
                if early and chance.random.randrange(3) == 0:
                    break


async def _client(house: House, call: Call, chance: Chance) -> None:
    """Asks, and may be torn away at any moment, more than once and in either way."""
    patience = chance.random.randrange(160)
    early = chance.random.randrange(8) == 0
    if chance.random.randrange(4) == 0:
        async with anyio.create_task_group() as group:
            group.start_soon(_visit, house, call, chance, early)
            await turns(patience)
            group.cancel_scope.cancel()
        return
    task = asyncio.create_task(_visit(house, call, chance, early))
    for _ in range(chance.random.choice([1, 1, 2, 3])):
        await turns(patience)
        task.cancel()
        patience = chance.random.randrange(6)
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_storm_of_clients_that_leave_nothing_is_held_or_forgotten(
    seed: int,
) -> None:
    chance = Chance(random.Random(seed))
    rules = [Wavering(chance), Wavering(chance)]
    house = House(
        chain=[Link(rules[0], "a"), Link(rules[1], "b", on_error="skip")],
        router=Pausing(chance),
        wire=Lottery(chance),
        queue=QueueLimits(slots=1, size=12, wait=30.0),
    )
    calls = [a_call(stream=chance.random.randrange(3) > 0) for _ in range(75)]

    async def arrive(call: Call) -> None:
        await turns(chance.random.randrange(600))
        await _client(house, call, chance)

    async with asyncio.timeout(60):
        await asyncio.gather(*(arrive(call) for call in calls))
    await turns(20)
    begun, ended = house.telemetry.calls, [call for call, _ in house.telemetry.ends]
    assert sorted(map(id, ended)) == sorted(map(id, begun))
    assert len(begun) > 40, "a few left before they had begun"
    assert house.idle()
    for rule in rules:
        assert sorted(rule.settled) == sorted(rule.entered), "once each, also for who has left"
    for call, outcome in house.telemetry.ends:
        tried = sum(one is call for one in house.telemetry.tried)
        assert len(outcome.attempts) == tried
        assert outcome.code != "internal_error" or outcome.detail == "", outcome
        assert (outcome.usage is not None) >= (outcome.kind is OutcomeKind.COMPLETED)
    assert {o.kind for o in house.telemetry.outcomes} >= {
        OutcomeKind.COMPLETED,
        OutcomeKind.CANCELLED,
        OutcomeKind.REFUSED,
    }, "the storm was a real one"
