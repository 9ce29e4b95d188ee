"""Which counters a gateway has, and whether they are there: told by metrics and a word."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr

from gateway.adapters.counting import Counting
from gateway.adapters.memory_counters import MemoryCounters
from gateway.domain.counters import Claim, CountersUnavailable, Window
from gateway.domain.metrics import COUNTERS_UP, Metric
from gateway.settings.state import State
from tests.redis_server import redis_server

CLAIM = Claim("a", 1, 5, Window(1, 1, 60.0))


async def test_without_a_redis_they_are_in_memory() -> None:
    counting = Counting(State(), lambda metric, change: None)
    async with counting.running():
        assert isinstance(counting.counters, MemoryCounters)
        assert counting.place == "memory"


async def test_with_one_they_are_shared_and_whether_it_answers_is_told() -> None:
    told: list[tuple[Metric, int]] = []
    with redis_server() as server:
        state = State(redis_url=SecretStr(server.url))
        counting = Counting(state, lambda metric, change: told.append((metric, change)))
        async with counting.running():
            await counting.counters.balance("a", None, CLAIM.window)
            assert counting.place == "redis"
            server.kill()
            while counting.place == "redis":
                try:
                    await counting.counters.claim([CLAIM])
                except CountersUnavailable:
                    await asyncio.sleep(0.005)
            assert counting.place == "redis unavailable"
    assert told == [(COUNTERS_UP, 1), (COUNTERS_UP, -1)]
