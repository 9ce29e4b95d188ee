"""One process of test_counters.py: `python -m tests.live.counting_process URL LIMIT CALLS MODE`.

Makes CALLS calls at once against a limit of LIMIT and prints how many were let in; with MODE `hold`
it claims what it can get, says so, and waits to be killed.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.adapters import redis_line
from gateway.adapters.redis_counters import RedisCounters
from gateway.domain.counters import Claim, Counters, Full, Window

WINDOW = Window(1, 1, 86_400.0)
TTL_S = 1.5


def claim(limit: int) -> Claim:
    return Claim("budget", 1, limit, WINDOW)


async def call(counters: Counters, limit: int) -> int:
    """1 where it was let in, and settled."""
    try:
        held = await counters.claim([claim(limit)])
    except Full:
        return 0
    await asyncio.sleep(0.001)
    await held.settle({"budget": 1})
    return 1


async def main(url: str, limit: int, calls: int, mode: str) -> None:
    redis_line.BUDGET_S = 10.0  # four processes on two busy cores: not what is tried here
    counters = RedisCounters(url)
    async with counters.running():
        if mode == "hold":
            for _ in range(limit):
                await counters.claim([claim(limit)], ttl_s=TTL_S)
            print("held", flush=True)
            await asyncio.Event().wait()
        let_in = await asyncio.gather(*(call(counters, limit) for _ in range(calls)))
        print(sum(let_in), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
