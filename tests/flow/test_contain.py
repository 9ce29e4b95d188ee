"""Whatever a policy's code does wrong has one name, and never the call's words in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.domain.errors import Refusal
from gateway.domain.policy import Link, Policy, PolicyFailed, Tools
from gateway.flow.contain import contained

LINK = Link(Policy(Policy.Settings(), Tools.fixed()), "night", budget_s=0.05)
PATIENT = Link(LINK.policy, "night", budget_s=30.0)


async def double(number: int) -> int:
    return 2 * number


async def test_what_a_moment_returns_comes_back() -> None:
    assert await contained(LINK, double, 21) == 42


async def test_a_moment_may_wait_for_others_and_go_on() -> None:
    gate: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def waits() -> int:
        await asyncio.sleep(0)
        first = await gate
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except TimeoutError:
            return first + 1
        return 0

    asyncio.get_running_loop().call_soon(gate.set_result, 1)
    assert await contained(PATIENT, waits) == 2


async def test_a_refusal_comes_through_also_after_a_wait() -> None:
    async def refuses(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise Refusal("no")

    for wait in (False, True):
        with pytest.raises(Refusal, match="no"):
            await contained(LINK, refuses, wait)


@pytest.mark.parametrize("kind", [ValueError, KeyError, TimeoutError, AssertionError, OSError])
@pytest.mark.parametrize("wait", [False, True])
async def test_a_crash_is_told_by_kind_and_place_but_not_by_text(
    kind: type[Exception], wait: bool
) -> None:
    async def crashes() -> None:
        if wait:
            await asyncio.sleep(0)
        raise kind("the client's secret")

    with pytest.raises(PolicyFailed) as failed:
        await contained(PATIENT, crashes)
    assert failed.value.detail.startswith(f"policy night: {kind.__name__} at test_contain.py:")
    assert "secret" not in f"{failed.value.detail} {failed.value.public}"
    assert failed.value.status == 503


async def test_a_moment_past_its_time_fails_and_is_stopped() -> None:
    stopped = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    with pytest.raises(PolicyFailed) as failed:
        await contained(LINK, hangs)
    assert failed.value.detail == "policy night: not done after 0.05 s"
    assert stopped.is_set()


async def test_a_client_that_leaves_is_a_cancellation_and_no_failure() -> None:
    began = asyncio.Event()

    async def hangs() -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(contained(PATIENT, hangs))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_of_the_policys_own_is_a_failure() -> None:
    async def lets_one_escape() -> None:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner

    with pytest.raises(PolicyFailed, match="CancelledError"):
        await contained(PATIENT, lets_one_escape)


def _not_async() -> None: ...


def _raises_at_once() -> None:
    raise ValueError


@pytest.mark.parametrize("moment", [_not_async, _raises_at_once])
async def test_a_moment_that_is_not_async_is_a_failure(
    moment: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    with pytest.raises(PolicyFailed):
        await contained(LINK, moment)


async def test_how_late_the_loop_is_does_not_count_as_the_moments_time() -> None:
    ready = asyncio.Event()

    async def another() -> None:
        time.sleep(0.2)  # noqa: ASYNC251 - two hundred other calls
        ready.set()

    async def waits() -> str:
        await ready.wait()
        return "done"

    task = asyncio.ensure_future(another())
    assert await contained(LINK, waits) == "done"
    await task


async def test_blocking_the_thread_counts_also_after_a_wait() -> None:
    async def blocks() -> None:
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 - what is forbidden

    with pytest.raises(PolicyFailed) as failed:
        await contained(LINK, blocks)
    assert "not done after 0.05 s" in failed.value.detail
