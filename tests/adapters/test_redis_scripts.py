"""What the scripts leave in Redis: claims given up, buckets nobody asks for, holds that lapse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gateway.adapters.redis_scripts import BALANCE, CLAIM, RENEW, SETTLE
from tests.redis_server import redis_server

P = "p:"
ACCOUNT = "ab12"


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with redis_server() as running, running.client() as client:
        yield client


@pytest.fixture(autouse=True)
def empty(client: redis.Redis) -> None:
    client.flushall()


def run(client: redis.Redis, script: str, *words: Any) -> str:
    said = client.eval(script, 1, f"{P}groups", P, *words)
    assert isinstance(said, bytes)
    return said.decode()


def claimed(client: redis.Redis, hold: str = "1", *, group: str = "g", seed: str = "") -> str:
    terms = (ACCOUNT, 2, 10, 5, 1, 60_000, seed)
    return run(client, CLAIM, group, hold, 60_000, 0, *terms).partition(" ")[0]


def settled(client: redis.Redis, hold: str = "1", *, epoch: str = "", bucket: int = 5) -> str:
    return run(client, SETTLE, "g", hold, epoch, 0, ACCOUNT, 2, 10, bucket, 1, 60_000, "")


def stands(client: redis.Redis) -> str:
    return run(client, BALANCE, ACCOUNT, 10, 5, 1)


def test_a_claim_that_was_given_up_first_takes_nothing_later(client: redis.Redis) -> None:
    settled(client)
    assert client.pttl(f"{P}t:g:1") > 0
    assert claimed(client) == "gone"
    assert stands(client) == "ok;0 0 -"


def test_a_claim_that_is_asked_twice_takes_once(client: redis.Redis) -> None:
    assert [claimed(client), claimed(client)] == ["ok", "ok"]
    assert stands(client) == "ok;0 2 -"


def test_a_seed_is_asked_for_and_taken_once(client: redis.Redis) -> None:
    assert claimed(client, seed="?") == "ask"
    assert not client.exists(f"{P}a:{ACCOUNT}")
    assert claimed(client, seed="3") == "ok"
    assert claimed(client, "2", seed="3") == "ok"
    assert stands(client) == "ok;3 4 5"


def test_a_seed_is_kept_though_the_claim_does_not_fit(client: redis.Redis) -> None:
    assert claimed(client, seed="9") == "full"
    assert claimed(client, seed="?") == "full"
    assert client.pttl(f"{P}a:{ACCOUNT}") > 0


def test_an_account_lives_while_it_holds_anything_and_not_for_ever(client: redis.Redis) -> None:
    claimed(client)
    assert client.pttl(f"{P}a:{ACCOUNT}") == -1
    settled(client, epoch="any")
    assert 0 < client.pttl(f"{P}a:{ACCOUNT}") <= 60_000


def test_buckets_that_nobody_asks_for_any_more_go(client: redis.Redis) -> None:
    for bucket in range(40):
        claimed(client, str(bucket))
        settled(client, str(bucket), epoch="any", bucket=bucket)
    assert client.hlen(f"{P}a:{ACCOUNT}") <= 9


def test_holds_lapse_with_their_group_and_only_then(client: redis.Redis) -> None:
    claimed(client, group="dying")
    claimed(client, group="living")
    run(client, RENEW, "e", "living", 60_000, "unheard of", 60_000)
    assert client.zcard(f"{P}groups") == 2
    client.zadd(f"{P}groups", {"dying": 1})
    assert stands(client) == "ok;0 2 -"
    assert client.hkeys(f"{P}l:dying") == [b"1"]
    assert client.pttl(f"{P}l:dying") > 0


def test_a_process_that_speaks_again_in_time_keeps_what_it_holds(client: redis.Redis) -> None:
    claimed(client)
    client.zadd(f"{P}groups", {"g": 1})
    run(client, RENEW, "e", "g", 60_000)
    assert stands(client) == "ok;0 2 -"


def test_each_life_of_redis_has_a_name_of_its_own(client: redis.Redis) -> None:
    first = run(client, RENEW, "one")
    assert run(client, RENEW, "two") == first == "ok one"
    client.flushall()
    assert run(client, RENEW, "two") == "ok two"
