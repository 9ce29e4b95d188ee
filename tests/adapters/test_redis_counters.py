"""Counters in a real Redis: shared, exact, and never waited for when it dies, hangs or is empty."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import given, settings

from gateway.adapters import redis_counters, redis_line
from gateway.adapters.redis_counters import PREFIX, RedisCounters
from gateway.domain.counters import Balance, Claim, CountersUnavailable, Window
from tests.adapters.counting import (
    DAY,
    RUNNING,
    STEPS,
    CountersContract,
    Opened,
    Step,
    claim,
    full,
    played,
    stormed,
)
from tests.redis_server import PASSWORD, RedisServer, redis_server

# What is told at once takes some ms; this machine may be busy with other things.
SOON = 0.8
GROUPS = f"{PREFIX}groups"


@pytest.fixture(scope="module", autouse=True)
def unhurried() -> Iterator[None]:
    """A busy machine may leave Redis without a processor for longer than the budget: only those
    tests hold it to that which are about it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redis_line, "BUDGET_S", 5.0)
        yield


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_line, "BUDGET_S", 0.05)


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """One for tests that do it no harm."""
    with redis_server() as running:
        yield running


async def test_a_replica_that_tells_impossible_numbers_does_not_make_redis_look_gone(
    shared: RedisServer,
) -> None:
    told: list[bool] = []
    counters = RedisCounters(shared.url, told=told.append)
    async with counters.running():
        held = await counters.claim([claim("impossible", 10, None)])
        settled = await held.settle({"impossible": 10**30})
        assert (settled["impossible"].held, counters.kept, told) == (0, 0, [True])
        assert settled["impossible"].used == 2**53 - 1


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that a test may kill or freeze."""
    with redis_server() as running:
        yield running


@asynccontextmanager
async def running(server: RedisServer) -> AsyncIterator[RedisCounters]:
    counters = RedisCounters(server.url)
    async with counters.running():
        yield counters


async def until(holds: object, seconds: float = 20.0) -> None:
    """Until `holds()`."""
    ends = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends, "it does not come about"
        await asyncio.sleep(0.005)


def lapse(server: RedisServer, counters: RedisCounters) -> None:
    """What Redis does once a process has not been heard of for the ttl."""
    with server.client() as client:
        for group in client.zrange(GROUPS, 0, -1):
            if group.decode().startswith(counters.process):
                client.zadd(GROUPS, {group: 1})


class TestRedisCounters(CountersContract):
    @pytest.fixture
    def opened(self, shared: RedisServer) -> Opened:
        with shared.client() as client:
            client.flushall()
        return lambda: running(shared)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_whatever_happens_in_whatever_order_the_sums_are_exact(
    shared: RedisServer, steps: list[Step]
) -> None:
    async def play() -> None:
        async with running(shared) as one, running(shared) as other:

            def lapsed(process: RedisCounters) -> bool:
                lapse(shared, process)
                with shared.client() as client:
                    # Another process' next question sweeps; its own would renew it first.
                    sweep = f"{PREFIX}a:none"
                    client.delete(sweep)
                    client.eval(redis_counters.BALANCE, 1, GROUPS, PREFIX, "none", "", 0, 0)
                return True

            await played([one, other], steps, lapsed)

    asyncio.run(play())


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_whatever_happens_at_once_the_sums_are_exact(
    shared: RedisServer, steps: list[Step]
) -> None:
    async def storm() -> None:
        async with AsyncExitStack() as stack:
            both = [await stack.enter_async_context(running(shared)) for _ in range(2)]
            await stormed(both, steps)

    asyncio.run(storm())


# ---- Processes that die --------------------------------------------------------------------------


async def test_what_a_dead_process_held_lapses_for_the_others(server: RedisServer) -> None:
    dead = RedisCounters(server.url)  # nobody renews what it holds
    await dead.claim([claim("a", 3, 3)], ttl_s=0.3)
    async with running(server) as alive:
        with full("a"):
            await alive.claim([claim("a", 1, 3)])
        await asyncio.sleep(0.35)
        await alive.claim([claim("a", 3, 3)])
    await dead.aclose()


async def test_what_a_living_process_holds_stays_past_its_ttl(server: RedisServer) -> None:
    async with running(server) as holding, running(server) as other:
        held = await holding.claim([claim("a", 3, 3)], ttl_s=1.0)
        await asyncio.sleep(2.2)
        with full("a"):
            await other.claim([claim("a", 1, 3)])
        await held.settle({})
        await other.claim([claim("a", 3, 3)])


async def test_one_that_was_only_asleep_settles_what_had_lapsed_once(server: RedisServer) -> None:
    asleep = RedisCounters(server.url)
    held = await asleep.claim([claim("a", 3, 9), claim("b", 1, 9, RUNNING)])
    lapse(server, asleep)
    async with running(server) as other:
        assert (await other.balance("a", 9, DAY)) == Balance(0, 0, 9, 0.0)
        await held.settle({"a": 2, "b": 1})
        await held.settle({"a": 2})
        assert (await other.balance("a", 9, DAY)) == Balance(2, 0, 9, 86_400.0)
        assert (await other.balance("b", 9, RUNNING)) == Balance(0, 0, 9, 0.0)
    await asleep.aclose()


async def test_nothing_stays_in_redis_for_ever(server: RedisServer) -> None:
    async with running(server) as counters:
        for number in range(20):
            window = Window(number, 1, 10.0)
            held = await counters.claim([claim("a", 1, 9, window), claim("b", 1, 9, RUNNING)])
            await held.settle({"a": 1, "b": 1})
        with server.client() as client:
            forever = {key.decode() for key in client.scan_iter() if client.ttl(key) == -1}
            (account,) = (key for key in client.scan_iter(f"{PREFIX}a:*") if client.hlen(key) > 1)
            assert client.hlen(account) <= 9  # and not one for each bucket
    assert forever == {GROUPS, f"{PREFIX}epoch"}


# ---- A Redis that dies ---------------------------------------------------------------------------


async def test_a_redis_that_is_killed_is_said_to_be_away_at_once(server: RedisServer) -> None:
    async with running(server) as counters:
        await counters.claim([claim("a")])
        server.kill()
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(CountersUnavailable):
                await counters.claim([claim("a")])
            with pytest.raises(CountersUnavailable):
                await counters.balance("a", 1, DAY)
            assert time.monotonic() - began < SOON
        assert not counters.available


@pytest.mark.usefixtures("hurried")
async def test_a_redis_that_hangs_keeps_nobody_waiting(server: RedisServer) -> None:
    async with running(server) as counters:
        held = await counters.claim([claim("a", 1, 500)])
        server.freeze()
        began = time.monotonic()
        got = await asyncio.gather(
            *(counters.claim([claim("a", 1, 500)]) for _ in range(200)), return_exceptions=True
        )
        assert all(isinstance(one, CountersUnavailable) for one in got)
        assert await held.settle({"a": 1}) == {}
        assert time.monotonic() - began < 2 * SOON
        await until(lambda: not counters.available)
        server.thaw()
        await until(lambda: counters.available and not counters.kept)
        # Of 200 claims that Redis may have got to, nothing is left; what was settled counts once.
        assert await counters.balance("a", 500, DAY) == Balance(1, 0, 500, 86_400.0)


@pytest.mark.usefixtures("hurried")
async def test_what_is_settled_while_redis_hangs_is_counted_once_when_it_is_back(
    server: RedisServer,
) -> None:
    async with running(server) as counters:
        holds = [await counters.claim([claim("a", 1)]) for _ in range(50)]
        server.freeze()
        assert await asyncio.gather(*(one.settle({"a": 2}) for one in holds)) == [{}] * 50
        assert counters.kept == 50
        server.thaw()
        await until(lambda: counters.available and not counters.kept)
        assert await counters.balance("a", None, DAY) == Balance(100, 0, None, 86_400.0)


@pytest.mark.usefixtures("hurried")
async def test_a_caller_that_leaves_while_redis_hangs_leaves_nothing_held(
    server: RedisServer,
) -> None:
    async with running(server) as counters:
        await counters.balance("a", 1, DAY)
        server.freeze()
        claiming = asyncio.ensure_future(counters.claim([claim("a", 1, 1)]))
        await asyncio.sleep(0.01)
        claiming.cancel()
        await asyncio.wait({claiming})
        server.thaw()
        await until(lambda: not counters.kept)
        await counters.claim([claim("a", 1, 1)])


async def test_past_a_bound_what_was_settled_first_is_lost_and_told(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_counters, "_MOST_KEPT", 3)
    lost: list[int] = []
    counters = RedisCounters(server.url, lost=lost.append)
    holds = [await counters.claim([claim("a", 1)]) for _ in range(5)]
    server.kill()
    for held in holds:
        await held.settle({"a": 1})
    assert lost == [1, 1]
    assert counters.kept == 3
    await counters.aclose()


async def test_whether_redis_answers_is_told_on_a_change(server: RedisServer) -> None:
    told: list[bool] = []
    counters = RedisCounters(server.url, told=told.append)
    async with counters.running():
        await until(lambda: told == [True])
        server.kill()
        with pytest.raises(CountersUnavailable):
            await counters.claim([claim("a")])
        assert told == [True, False]
        server.start()
        await until(lambda: told == [True, False, True])
    assert told == [True, False, True, False]


async def test_no_password_is_in_what_is_told_or_logged(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    counters = RedisCounters(server.url.replace(PASSWORD, "wrong-pass"))
    with pytest.raises(CountersUnavailable) as caught:
        await counters.claim([claim("a")])
    await counters.aclose()
    assert "wrong-pass" not in caught.value.detail + caplog.text
    assert "unavailable" in caplog.text


# ---- A Redis that comes back empty ---------------------------------------------------------------


async def test_what_was_held_is_held_again_in_an_empty_redis(server: RedisServer) -> None:
    async with running(server) as counters, running(server) as other:
        held = await counters.claim([claim("a", 3, 3)])
        first = counters.epoch
        server.kill()
        server.start()
        await until(lambda: held.epoch != first)  # type: ignore[attr-defined]
        with full("a"):
            await other.claim([claim("a", 1, 3)])
        await held.settle({"a": 1})
        assert await other.balance("a", 3, DAY) == Balance(1, 0, 3, 86_400.0)


async def test_what_was_claimed_before_and_settled_after_counts_once(server: RedisServer) -> None:
    counters = RedisCounters(server.url)  # nobody claims it anew
    held = await counters.claim([claim("a", 3, 9)])
    with server.client() as client:
        client.flushall()
    await held.settle({"a": 2})
    again = redis_counters._Settling(held, held.epoch, {"a": 2}, time.monotonic())  # type: ignore[arg-type]
    await counters._write(again)  # as if the first answer had been lost
    assert await counters.balance("a", 9, DAY) == Balance(2, 0, 9, 86_400.0)
    await counters.aclose()


async def test_what_a_seed_has_told_already_is_not_counted_again(server: RedisServer) -> None:
    book = 10

    async def seed() -> int:
        return book

    seeded = Claim("a", 1, 100, DAY, seed)
    counters = RedisCounters(server.url)
    before, after = await counters.claim([seeded]), await counters.claim([seeded])
    with server.client() as client:
        client.flushall()
    book += 5
    await before.settle({"a": 5})  # nobody has asked the book since: it will be told then
    await counters.claim([seeded])
    assert (await counters.balance("a", 100, DAY)).used == 15
    await after.settle({"a": 7})  # the book was asked before it was written there
    assert (await counters.balance("a", 100, DAY)).used == 22
    await counters.aclose()


# ---- What it costs the process -------------------------------------------------------------------


async def test_what_is_over_is_not_left_to_the_garbage_collector(server: RedisServer) -> None:
    async with running(server) as counters:
        await (await counters.claim([claim("a")])).settle({})
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                await (await counters.claim([claim("a")])).settle({"a": 1})
            left = [o for o in gc.get_objects() if isinstance(o, redis_counters.RedisHeld)]
            assert left == []
        finally:
            gc.enable()
