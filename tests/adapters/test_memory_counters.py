"""Counters of one process: what all counters promise, how many accounts they keep, how exact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings

from gateway.adapters import memory_counters
from gateway.adapters.memory_counters import MemoryCounters
from gateway.domain.counters import Claim, CountersUnavailable, Window
from gateway.testing.fakes import FakeClock
from tests.adapters.counting import (
    DAY,
    STEPS,
    CountersContract,
    Opened,
    Step,
    claim,
    played,
    stormed,
)

SHORT = Window(0, 1, 10.0)


class TestMemoryCounters(CountersContract):
    @pytest.fixture
    def opened(self) -> Opened:
        counters = MemoryCounters(FakeClock())

        @asynccontextmanager
        async def process() -> AsyncIterator[MemoryCounters]:
            yield counters

        return process


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_in_whatever_order_the_sums_are_exact(steps: list[Step]) -> None:
    counters = MemoryCounters(FakeClock())
    asyncio.run(played([counters, counters], steps, lambda process: False))


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_whatever_happens_at_once_the_sums_are_exact(steps: list[Step]) -> None:
    asyncio.run(stormed([MemoryCounters(FakeClock())], steps))


async def test_an_account_that_nobody_needs_any_more_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_counters, "_FIRST_SWEEP", 4)
    clock = FakeClock()
    counters = MemoryCounters(clock, most=4)
    holding = await counters.claim([claim("held", 0, 5, SHORT)])
    for name in "abc":
        await (await counters.claim([claim(name, 1, 5, SHORT)])).settle({name: 1})
    with pytest.raises(CountersUnavailable, match="4 accounts"):
        await counters.claim([claim("d", 1, 5, SHORT)])
    clock.now += SHORT.over_s + 1
    await counters.claim([claim("d", 1, 5, SHORT)])
    assert len(counters) == 2
    await holding.settle({"held": 2})
    assert (await counters.balance("held", 5, SHORT)).used == 2


async def test_thousands_of_accounts_cost_no_search_of_all_for_each() -> None:
    looked = 0

    class Counted(FakeClock):
        def __call__(self) -> float:
            nonlocal looked
            looked += 1
            return super().__call__()

    counters = MemoryCounters(Counted(), most=50_000)
    for number in range(20_000):
        await counters.claim([claim(str(number))])
    assert len(counters) == 20_000
    assert looked < 60_000


async def test_asking_how_an_account_stands_makes_none() -> None:
    counters = MemoryCounters(FakeClock())
    await counters.balance("a", 5, DAY)
    assert len(counters) == 0


async def test_one_that_was_forgotten_is_asked_for_again() -> None:
    asked = []

    async def seed() -> int:
        asked.append(1)
        return 3

    clock = FakeClock()
    counters = MemoryCounters(clock, most=1)
    held = await counters.claim([Claim("a", 1, 9, SHORT, seed)])
    await held.settle({})
    clock.now += SHORT.over_s + 1
    await (await counters.claim([claim("b", 1, 9, SHORT)])).settle({})
    clock.now += SHORT.over_s + 1
    await counters.claim([Claim("a", 1, 9, SHORT, seed)])
    assert len(asked) == 2
