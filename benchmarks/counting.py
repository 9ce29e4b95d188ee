"""CPU time of one claim and its settlement: `python benchmarks/counting.py`.

In memory, and through a real redis-server, one caller after the other and 32 at once. Of this
process alone; the smallest of several rounds, in microseconds for both steps together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.adapters.memory_counters import MemoryCounters
from gateway.adapters.redis_counters import RedisCounters
from gateway.domain.counters import Claim, Counters, Window
from tests.redis_server import redis_server

ROUNDS = 5
TOGETHER = 32
KINDS = {
    "1 account, a day": [Window(20_000, 1, 86_400.0)],
    "4 accounts, a minute": [Window(1_000_000, 60, 1.0)] * 4,
}


def claims(windows: list[Window]) -> list[Claim]:
    return [Claim(f"account {n}", 1, 10**12, window) for n, window in enumerate(windows)]


async def calls(counters: Counters, windows: list[Window], count: int) -> None:
    for _ in range(count):
        asked = claims(windows)
        held = await counters.claim(asked)
        await held.settle({claim.account: 1 for claim in asked})


async def smallest(work: Callable[[], Awaitable[object]], count: int) -> float:
    await work()
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        await work()
        best = min(best, (time.process_time() - began) / count)
    return best * 1e6


async def measure(name: str, counters: Counters, many: int) -> None:
    for kind, windows in KINDS.items():

        async def in_turn(windows: list[Window] = windows) -> None:
            await calls(counters, windows, many)

        async def together(windows: list[Window] = windows) -> None:
            each = many // TOGETHER
            await asyncio.gather(*(calls(counters, windows, each) for _ in range(TOGETHER)))

        alone = await smallest(in_turn, many)
        shared = await smallest(together, many // TOGETHER * TOGETHER)
        print(f"{name:8} {kind:22} {alone:12.1f} {shared:14.1f}")


async def main() -> None:
    print("where    what                      in turn, us  32 at once, us")
    await measure("memory", MemoryCounters(time.monotonic), 6400)
    with redis_server() as server:
        counters = RedisCounters(server.url)
        async with counters.running():
            await measure("redis", counters, 640)


if __name__ == "__main__":
    asyncio.run(main())
