"""Decision records in a real Redis: who finds them, how many stay, what becomes of failures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway.adapters.record_queue import Entry, StoreUnavailable
from gateway.adapters.redis_records import RedisRecords
from tests.redis_server import PASSWORD, RedisServer, redis_server

PLENTY = 1 << 30
DAY = 86_400.0


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@asynccontextmanager
async def a_store(
    server: RedisServer, *, url: str = "", keep: int = 1000, most: int = PLENTY, ttl: float = DAY
) -> AsyncIterator[RedisRecords]:
    store = RedisRecords(url or server.url, keep=keep, most_bytes=most, ttl=ttl)
    try:
        yield store
    finally:
        await store.aclose()


def entry(name: str, text: str = "", team: str = "ide") -> Entry:
    return Entry(1, team, name, (text or f"record {name}").encode(errors="replace"))


async def test_what_one_process_writes_another_finds_newest_first(server: RedisServer) -> None:
    async with a_store(server) as one, a_store(server) as other:
        await one.add([entry("a", "first"), entry("b")])
        await other.add([entry("a", "second")])
        assert await other.find("ide", "b") == [b"record b"]
        assert await one.find("ide", "a") == [b"second", b"first"]


async def test_another_team_finds_nothing_however_names_and_ids_are_put_together(
    server: RedisServer,
) -> None:
    async with a_store(server) as store:
        await store.add([entry("bc", team="a"), entry("\ud800", team="ü")])
        assert await store.find("a", "bc") == [b"record bc"]
        assert await store.find("ü", "\ud800") == [b"record ?"]
        assert await store.find("ab", "c") == []
        assert await store.find("b", "bc") == []


async def test_only_the_newest_stay_and_nothing_of_the_others_is_left(server: RedisServer) -> None:
    async with a_store(server, keep=3) as one, a_store(server, keep=3) as other:
        for number in range(10):
            await (one, other)[number % 2].add([entry(str(number)), entry("same", str(number))])
        assert await one.find("ide", "same") == [b"9", b"8"]
        found = [name for name in map(str, range(10)) if await one.find("ide", name)]
        assert found == ["9"]
    with server.client() as client:
        # The list of all, their sum, and the two ids that have records.
        assert client.dbsize() == 4
        assert client.get("{vllm-gateway}:bytes") == str(len("record 9") + 2).encode()


async def test_their_bytes_are_bounded_too(server: RedisServer) -> None:
    async with a_store(server, most=1000) as store:
        await store.add([entry(str(number), "x" * 300) for number in range(10)])
        found = [name for name in map(str, range(10)) if await store.find("ide", name)]
        assert found == ["7", "8", "9"]


async def test_all_is_forgotten_after_its_time(server: RedisServer) -> None:
    async with a_store(server, ttl=5) as store:
        await store.add([entry("a")])
        with server.client() as client:
            left = [client.pttl(key) for key in client.scan_iter()]
    assert len(left) == 3
    assert all(0 < one <= 5000 for one in left)


async def test_one_that_is_too_old_leaves_though_others_come(server: RedisServer) -> None:
    async with a_store(server, ttl=DAY) as store:
        await store.add([entry("old")])
        with server.client() as client:
            (said,) = client.lrange("{vllm-gateway}:order", 0, -1)
            at, rest = said.split(b" ", 1)
            aged = str(int(at) - 86_400_001).encode()
            client.lset("{vllm-gateway}:order", 0, aged + b" " + rest)
        await store.add([entry("new")])
        assert await store.find("ide", "old") == []
        assert await store.find("ide", "new")


async def test_a_redis_that_is_killed_is_unavailable_and_serves_again_when_it_is_back(
    server: RedisServer,
) -> None:
    async with a_store(server) as store:
        await store.add([entry("a")])
        server.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.add([entry("b")])
        server.start()
        await store.ping()
        await store.add([entry("c")])
        assert await store.find("ide", "c")


async def test_a_redis_that_hangs_is_unavailable_within_a_second_or_so(
    server: RedisServer,
) -> None:
    async with a_store(server) as store:
        await store.add([entry("a")])
        server.freeze()
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.find("ide", "a")
        assert time.monotonic() - began < 10
        server.thaw()
        # The late answer to the question above must not be taken for that to another one.
        assert await store.find("ide", "never") == []
        assert await store.find("ide", "a") == [b"record a"]


async def test_what_fails_is_told_by_its_code_and_never_with_the_password(
    server: RedisServer,
) -> None:
    wrong = server.url.replace(PASSWORD, "wr0ng-secret")
    async with a_store(server, url=wrong) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.ping()
        assert "AuthenticationError" in str(caught.value)
        assert caught.value.__cause__ is None
        assert "wr0ng-secret" not in f"{caught.value!r} {store!r} {vars(store)!r}"


async def test_a_full_redis_says_so() -> None:
    with redis_server("--maxmemory", "1", "--maxmemory-policy", "noeviction") as full:
        async with a_store(full) as store:
            with pytest.raises(StoreUnavailable, match="OOM"):
                await store.add([entry("a")])
