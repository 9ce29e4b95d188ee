"""When a replica dies its streams move one after the other, and all others go on in between."""

from __future__ import annotations

import asyncio

from gateway.flow.herd import Herd


async def test_a_herd_has_one_turn_in_each_turn_of_the_loop() -> None:
    herd, loop_turns, seen = Herd(), 0, list[int]()

    async def others() -> None:
        nonlocal loop_turns
        while True:
            await asyncio.sleep(0)
            loop_turns += 1

    async def one() -> None:
        async with herd.turn():
            seen.append(loop_turns)

    ticking = asyncio.create_task(others())
    await asyncio.gather(*(one() for _ in range(50)))
    ticking.cancel()
    assert len(set(seen)) == 50
    assert seen == sorted(seen)


async def test_who_leaves_while_it_waits_holds_nobody_up() -> None:
    herd, done = Herd(), list[int]()

    async def one(number: int) -> None:
        async with herd.turn():
            done.append(number)

    tasks = [asyncio.create_task(one(number)) for number in range(9)]
    await asyncio.sleep(0)
    tasks[4].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [0, 1, 2, 3, 5, 6, 7, 8]
