"""Slots: as many as the replicas have, a queue behind them, and an honest refusal past that."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from gateway.domain.errors import Overloaded
from gateway.domain.limits import QueueLimits
from gateway.flow.admission import Admission
from gateway.testing.fakes import FakeClock, a_call


def admission(slots: int, *, size: int = 8, wait: float = 30.0) -> tuple[Admission, FakeClock]:
    clock = FakeClock()
    return Admission(lambda model: slots, QueueLimits(size=size, wait=wait), clock), clock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_run_at_once_than_there_are_slots_and_all_get_their_turn() -> None:
    room, _ = admission(2)
    running = peak = 0

    async def one() -> None:
        nonlocal running, peak
        async with room.slot(a_call()):
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(one() for _ in range(9)))
    assert peak == 2
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_the_queue_is_served_in_the_order_of_arrival() -> None:
    room, _ = admission(1)
    order: list[int] = []

    async def one(number: int) -> None:
        async with room.slot(a_call()):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    room, _ = admission(1, size=0)
    async with room.slot(a_call()):
        with pytest.raises(Overloaded) as caught:
            async with room.slot(a_call()):
                pass
    assert caught.value.status == 429
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1


async def test_waiting_too_long_is_refused_and_leaves_the_queue_clean() -> None:
    room, _ = admission(1, wait=0.01)
    async with room.slot(a_call()):
        with pytest.raises(Overloaded):
            async with room.slot(a_call()):
                pass
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_a_client_that_leaves_the_queue_gives_its_place_up() -> None:
    room, _ = admission(1)

    async def wait_in_line() -> None:
        async with room.slot(a_call()):
            pass

    async with room.slot(a_call()):
        task = asyncio.create_task(wait_in_line())
        await settle()
        assert room.waiting("m") == 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert room.waiting("m") == 0
    assert room.running("m") == 0


async def test_a_slot_handed_to_a_client_that_is_just_leaving_is_not_lost() -> None:
    room, _ = admission(1)

    async def wait_in_line() -> None:
        async with room.slot(a_call()):
            pass

    async with AsyncExitStack() as first:
        await first.enter_async_context(room.slot(a_call()))
        task = asyncio.create_task(wait_in_line())
        await settle()
        await first.aclose()  # the slot goes to the waiting task …
        task.cancel()  # … which is cancelled before it runs
        with suppress(asyncio.CancelledError):
            await task
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_the_time_in_the_queue_is_told_to_the_call() -> None:
    room, clock = admission(1)
    call = a_call()

    async def wait_in_line() -> None:
        async with room.slot(call):
            pass

    async with room.slot(a_call()):
        task = asyncio.create_task(wait_in_line())
        await settle()
        clock.now = 2.5
    await task
    assert call.queue_seconds == 2.5


async def test_models_do_not_wait_for_each_other() -> None:
    room, _ = admission(1, size=0)
    async with room.slot(a_call(model="a")), room.slot(a_call(model="b")):
        assert room.running("a") == room.running("b") == 1
