"""Limits over four processes and a real Redis: never passed, and free again after a SIGKILL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters import redis_line
from gateway.adapters.redis_counters import RedisCounters
from gateway.domain.counters import Full
from tests.live.counting_process import TTL_S, WINDOW, claim
from tests.redis_server import RedisServer, redis_server

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
LIMIT, PROCESSES, CALLS = 61, 4, 50


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the processes that are counted with: how fast Redis answers is not tried here."""
    monkeypatch.setattr(redis_line, "BUDGET_S", 10.0)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


def process(server: RedisServer, mode: str) -> subprocess.Popen[str]:
    words = [server.url, str(LIMIT), str(CALLS), mode]
    command = [sys.executable, "-m", "tests.live.counting_process", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


async def test_two_hundred_callers_in_four_processes_never_pass_a_limit(
    server: RedisServer,
) -> None:
    processes = [process(server, "call") for _ in range(PROCESSES)]
    let_in = [int(one.communicate(timeout=60)[0]) for one in processes]
    assert sum(let_in) == LIMIT
    counters = RedisCounters(server.url)
    stands = await counters.balance("budget", LIMIT, WINDOW)
    assert (stands.used, stands.held) == (LIMIT, 0)
    await counters.aclose()


async def test_what_a_killed_process_held_is_free_again_after_the_ttl(server: RedisServer) -> None:
    holding = process(server, "hold")
    counters = RedisCounters(server.url)
    try:
        assert holding.stdout is not None
        assert holding.stdout.readline() == "held\n"
        await asyncio.sleep(2 * TTL_S)
        with pytest.raises(Full):
            await counters.claim([claim(LIMIT)])  # it lives, and so does what it holds
        holding.kill()
        killed = time.monotonic()
        while True:
            assert time.monotonic() - killed < TTL_S + 5
            try:
                await counters.claim([claim(LIMIT)])
                break
            except Full:
                await asyncio.sleep(0.05)
        assert time.monotonic() - killed > TTL_S / 3
    finally:
        holding.kill()
        holding.communicate()
        await counters.aclose()
