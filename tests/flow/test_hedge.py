"""When a second request is worth it, and that the slower one leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.call import Attempt, Reply
from gateway.domain.retry import Fault
from gateway.flow.attempt import AttemptFailed
from gateway.flow.hedge import Attempting, Hedging, race
from gateway.flow.lease import Lease, Opened
from gateway.testing.fakes import FakeClock, FakeProbe, FakeRouter, a_call, a_replica


async def nothing():  # type: ignore[no-untyped-def]
    return
    yield


def an_answer(name: str, router: FakeRouter) -> Opened:
    lease = Lease(a_call(), a_replica(name), router, FakeProbe(), FakeClock())
    return Opened(Reply(nothing(), stream=True, replica=name), lease)


def test_only_the_models_that_are_named_are_hedged() -> None:
    assert Hedging(["m"], 0.02, 20).covers("m")
    assert not Hedging(["m"], 0.02, 20).covers("other")


def test_streams_and_plain_answers_have_times_of_their_own() -> None:
    known = Hedging(["m"], 0.02, 2)
    stream, whole = a_call(stream=True), a_call()
    assert known.patience(stream, "m") is None
    for seconds in (0.2, 0.3):
        known.learn(stream, "m", seconds)
    assert known.patience(stream, "m") == 0.3
    assert known.patience(whole, "m") is None


async def test_two_that_answer_in_the_same_moment_leave_one_answer_and_no_load() -> None:
    router, made = FakeRouter(), list[Attempt]()
    go = asyncio.Event()

    async def answer(name: str) -> Opened:
        await go.wait()
        return an_answer(name, router)

    async def second() -> Attempting | None:
        asyncio.get_running_loop().call_later(0.005, go.set)
        return answer("r1")

    opened, won = await race(answer("r0"), second, 0.001, made)
    assert (opened.lease.replica.id, won) == ("r0", False)
    assert [(a.replica, a.result) for a in made] == [("r1", "cancelled")]
    assert router.load == {"r0": 1, "r1": 0}


async def test_what_the_first_raised_is_told_where_both_fail() -> None:
    go = asyncio.Event()

    async def fail(why: str) -> Opened:
        await go.wait()
        raise AttemptFailed(Fault.BROKEN, why)

    async def second() -> Attempting | None:
        go.set()
        return fail("second")

    with pytest.raises(AttemptFailed, match="first"):
        await race(fail("first"), second, 0.001, [])


async def test_a_first_that_fails_before_it_is_slow_is_not_hedged() -> None:
    async def fail() -> Opened:
        raise AttemptFailed(Fault.BROKEN, "first")

    async def second() -> Attempting | None:
        raise AssertionError("asked")

    with pytest.raises(AttemptFailed):
        await race(fail(), second, 10, [])


def test_what_is_known_of_a_model_outlives_a_change_of_the_rule() -> None:
    known, call = Hedging(["m", "n"], 0.02, 1), a_call()
    known.learn(call, "m", 0.5)
    known.learn(call, "n", 0.5)
    known.adopt(["m"], 0.02, 1)
    assert known.patience(call, "m") == 0.5
    assert not known.covers("n")
    known.adopt(["m", "n"], 0.02, 1)
    assert known.patience(call, "n") is None
