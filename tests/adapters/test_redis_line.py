"""A line to a real Redis: one round trip for all who ask at once, scripts that Redis forgot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway.adapters import redis_line
from gateway.adapters.redis_line import RedisLine
from gateway.domain.counters import CountersUnavailable
from tests.redis_server import RedisServer, redis_server

ECHO = "return ARGV[1]"
WRONG = "return redis.call('NOSUCH')"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@asynccontextmanager
async def a_line(server: RedisServer) -> AsyncIterator[RedisLine]:
    line = RedisLine(server.url, "key", lambda is_so: None)
    try:
        yield line
    finally:
        await line.aclose()


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_line, "BUDGET_S", 5.0)


async def test_each_who_asks_gets_its_own_answer(server: RedisServer) -> None:
    async with a_line(server) as line:
        said = await asyncio.gather(*(line.ask(ECHO, [n]) for n in range(500)))
    assert said == [str(n) for n in range(500)]


async def test_what_the_first_who_ask_need_is_open_before(server: RedisServer) -> None:
    async with a_line(server) as line:
        with server.client() as client:
            before = len(client.client_list())
            await line.connect()
            assert len(client.client_list()) == before + redis_line._LANES
            await asyncio.gather(*(line.ask(ECHO, [n]) for n in range(1000)))
            assert len(client.client_list()) == before + redis_line._LANES


async def test_scripts_that_are_given_before_need_one_round_trip(server: RedisServer) -> None:
    async with a_line(server) as line:
        with server.client() as client:
            client.script_flush()
            await line.connect(ECHO)
            client.config_resetstat()
            assert await line.ask(ECHO, ["one"]) == "one"
            assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


async def test_a_redis_that_is_not_there_keeps_nobody_from_beginning() -> None:
    line = RedisLine("unix:///no/such.sock", "key", lambda is_so: None)
    await line.connect()
    await line.aclose()


async def test_those_who_ask_at_once_share_a_round_trip(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    piped = RedisLine._pipe

    async def counted(self: RedisLine, batch: list[redis_line._Question]) -> list[object]:
        trips.append(len(batch))
        return await piped(self, batch)

    monkeypatch.setattr(RedisLine, "_pipe", counted)
    async with a_line(server) as line:
        await line.ask(ECHO, [0])
        trips.clear()
        await asyncio.gather(*(line.ask(ECHO, [n]) for n in range(100)))
    assert trips == [100]


async def test_a_script_that_redis_has_forgotten_is_sent_again(server: RedisServer) -> None:
    async with a_line(server) as line:
        assert await line.ask(ECHO, ["one"]) == "one"
        with server.client() as client:
            client.script_flush()
        said = await asyncio.gather(*(line.ask(ECHO, [n]) for n in range(3)))
    assert said == ["0", "1", "2"]


async def test_what_goes_wrong_in_a_script_is_said_to_those_alone_who_asked_for_it(
    server: RedisServer,
) -> None:
    async with a_line(server) as line:
        asked = [line.ask(ECHO, ["fine"]), line.ask(WRONG, []), line.ask(ECHO, ["too"])]
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(said[1], CountersUnavailable)
        assert said[::2] == ["fine", "too"]
        assert line.available


async def test_a_connection_that_redis_has_closed_is_opened_again(server: RedisServer) -> None:
    async with a_line(server) as line:
        await line.ask(ECHO, ["one"])
        with server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        assert await line.ask(ECHO, ["two"]) == "two"


async def test_a_loop_that_is_late_itself_does_not_take_redis_for_slow(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_line(server) as line:
        await line.ask(ECHO, ["one"])
        monkeypatch.setattr(redis_line, "BUDGET_S", 0.05)
        asking = asyncio.ensure_future(line.ask(ECHO, ["two"]))
        for _ in range(3):
            await asyncio.sleep(0)
            time.sleep(0.1)  # noqa: ASYNC251 - the very thing that is tried
        assert await asking == "two"


async def test_a_loop_that_is_busy_in_short_pieces_does_not_take_redis_for_slow(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is while the first calls after a start all come at once."""

    async def busy() -> None:
        while True:
            time.sleep(0.03)  # noqa: ASYNC251 - the very thing that is tried
            await asyncio.sleep(0)

    async with a_line(server) as line:
        await line.ask(ECHO, ["one"])
        monkeypatch.setattr(redis_line, "BUDGET_S", 0.05)
        others = asyncio.ensure_future(busy())
        try:
            assert await line.ask(ECHO, ["two"]) == "two"
        finally:
            others.cancel()


async def test_nobody_is_left_waiting_when_it_closes(server: RedisServer) -> None:
    async with a_line(server) as line:
        asking = [asyncio.ensure_future(line.ask(ECHO, [n])) for n in range(5)]
        await asyncio.sleep(0)
    got = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, CountersUnavailable) for one in got)
