"""Cooldowns that processes share through a real Redis: who fails here rests there, just as long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from gateway.adapters import redis_line
from gateway.adapters.shared_cooldowns import SharedCooldowns
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.settings.state import State
from tests.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def redis(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """Empty, and as slow as a busy machine makes it."""
    monkeypatch.setattr(redis_line, "BUDGET_S", 5.0)
    with server.client() as client:
        client.flushall()
    return server


def replica(key: str, base_url: str = "http://a.test/v1") -> Replica:
    return Replica(key, "m", "m", base_url)


class Process:
    """What a gateway has of it: replicas, and which of them it was told of."""

    def __init__(self, url: str | None, *replicas: Replica) -> None:
        state = State(redis_url=SecretStr(url) if url else None)
        self.cooldowns = SharedCooldowns(state, time.monotonic)
        self.replicas = replicas
        self.told: list[tuple[str, float, Fault]] = []

    def every(self) -> tuple[Replica, ...]:
        return self.replicas

    def rest(self, replica: Replica, seconds: float, fault: Fault) -> None:
        self.told.append((replica.id, seconds, fault))


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        first, *others = processes
        async with first.cooldowns.running(first):
            if not others:
                yield
                return
            async with running(*others):
                yield


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


async def test_one_that_rests_here_rests_in_every_process_as_long_and_is_told_once(
    redis: RedisServer,
) -> None:
    a, b = replica("a"), replica("b")
    here, there, beside = (Process(redis.url, a, b) for _ in range(3))
    async with running(here, there, beside):
        here.cooldowns.began(a, 30.0, Fault.TIMEOUT)
        await until(lambda: there.told and beside.told)
        there.cooldowns.began(b, 30.0, Fault.CONNECT)
        await until(lambda: here.told and len(beside.told) > 1)
    [(key, seconds, fault)] = there.told
    assert (key, fault) == ("a", Fault.TIMEOUT)
    assert 20 < seconds <= 30
    assert [(key, fault) for key, _, fault in here.told] == [("b", Fault.CONNECT)]
    assert [key for key, *_ in beside.told] == ["a", "b"]


async def test_who_comes_later_is_told_of_what_is_left(redis: RedisServer) -> None:
    a = replica("a")
    here, later = Process(redis.url, a), Process(redis.url, a)
    async with running(here):
        here.cooldowns.began(a, 30.0, Fault.SERVER_ERROR)
        async with running(later):
            await until(lambda: later.told)
    assert later.told[0][1] < 30
    with redis.client() as client:
        assert 0 < client.pttl("{vllm-gateway}:cooldowns") <= 30_000


async def test_the_same_id_of_another_server_is_another_replica(redis: RedisServer) -> None:
    mine, other = replica("r0"), replica("r0", "http://b.test/v1")
    here, there = Process(redis.url, mine), Process(redis.url, other, replica("r1"))
    async with running(here, there):
        here.cooldowns.began(mine, 30.0, Fault.TIMEOUT)
        here.cooldowns.began(replica("r1"), 30.0, Fault.TIMEOUT)
        await until(lambda: there.told)
    assert [key for key, *_ in there.told] == ["r1"]


async def test_what_begins_while_redis_is_away_is_told_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a = replica("a")
    with redis_server() as mortal:
        here, there = Process(mortal.url, a), Process(mortal.url, a)
        async with running(here, there):
            here.cooldowns.began(a, 60.0, Fault.TIMEOUT)
            await until(lambda: there.told)
            await asyncio.to_thread(mortal.kill)
            here.cooldowns.began(a, 90.0, Fault.BROKEN)
            await asyncio.to_thread(mortal.start)
            await until(lambda: len(there.told) > 1)
    assert there.told[-1][2] is Fault.BROKEN


async def test_a_rest_that_is_over_is_forgotten(redis: RedisServer) -> None:
    a, b = replica("a"), replica("b")
    here, there = Process(redis.url, a, b), Process(redis.url, a, b)
    async with running(here):
        here.cooldowns.began(a, 0.05, Fault.TIMEOUT)
        here.cooldowns.began(b, 30.0, Fault.TIMEOUT)
        await asyncio.sleep(0.2)  # until it is over by Redis' clock
        async with running(there):
            await until(lambda: there.told)
    assert [key for key, *_ in there.told] == ["b"]


async def test_a_fault_that_only_a_newer_version_knows_is_trouble_too(redis: RedisServer) -> None:
    a = replica("a")
    here, there = Process(redis.url, a), Process(redis.url, a)
    async with running(here, there):
        here.cooldowns.began(a, 30.0, "from_the_future")  # type: ignore[arg-type]
        await until(lambda: there.told)
    assert there.told[0][2] is Fault.SERVER_ERROR


async def test_without_redis_nothing_is_shared_and_nothing_runs() -> None:
    alone = Process(None, replica("a"))
    async with running(alone):
        alone.cooldowns.began(replica("a"), 30.0, Fault.TIMEOUT)
    assert alone.told == []
