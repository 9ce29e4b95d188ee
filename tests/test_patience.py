"""Whoever waits is ended in time, and not for the lateness of the loop that it waits in."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.patience import patience


async def busy(loops: int, seconds: float) -> None:
    """So many passes of the loop, each of which takes so long."""
    for _ in range(loops):
        time.sleep(seconds)  # noqa: ASYNC251 - what a late loop is
        await asyncio.sleep(0)


async def test_what_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.05):
            await asyncio.sleep(30)
    assert time.monotonic() - began < 10


async def test_what_is_done_in_time_is_left_alone() -> None:
    async with patience(30) as limit:
        await asyncio.sleep(0)
    assert not limit.expired()


async def test_what_was_ready_while_the_loop_was_late_is_not_ended() -> None:
    ready = asyncio.Event()

    async def others() -> None:
        await busy(1, 0.3)
        ready.set()

    task = asyncio.ensure_future(others())
    async with patience(0.1):
        await ready.wait()
    await task


async def test_a_loop_that_is_always_late_gives_no_patience_without_end() -> None:
    task = asyncio.ensure_future(busy(1000, 0.05))
    try:
        with pytest.raises(TimeoutError):
            async with patience(0.01):
                await asyncio.Event().wait()
        assert not task.done()
    finally:
        task.cancel()


async def test_a_cancellation_from_outside_is_no_time_out() -> None:
    async def waits() -> None:
        async with patience(30):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
