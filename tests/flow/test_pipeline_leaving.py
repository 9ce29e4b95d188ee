"""Clients that leave at any moment: their calls are settled once, and no record is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import anyio
import pytest

from gateway.domain.call import Call, OutcomeKind
from gateway.domain.errors import GatewayError, ShuttingDown
from gateway.domain.limits import QueueLimits
from gateway.domain.policy import Link
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    a_call,
    chunk,
    plain,
    streamed,
)
from tests.flow.house import House, Rule, forever, left, turns, until

# ---- Who leaves, and when ------------------------------------------------------------------------


async def test_a_client_that_leaves_before_it_reads_anything_is_cancelled_and_settled() -> None:
    rule = Rule()
    house = House([streamed("he", "llo")], chain=[Link(rule, "r")])
    opened = asyncio.Event()

    async def client() -> None:
        async with house.pipeline.answer(a_call(stream=True)):
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(client())
    await opened.wait()
    await left(task)
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.CANCELLED, 499)
    assert house.outcome.code == "client_disconnected"
    assert [a.result for a in house.outcome.attempts] == ["cancelled"]
    assert rule.settled == [house.outcome]
    assert house.idle()


@pytest.mark.parametrize("reading", [True, False])
async def test_a_call_that_we_cut_has_failed_and_its_error_says_why(reading: bool) -> None:
    house = House([FakeAnswer(steps=(chunk("he") if reading else forever, forever))])
    call, errors = a_call(stream=True), []
    call.cut = ShuttingDown

    async def client() -> None:
        try:
            await house.ask(call)
        except GatewayError as error:
            errors.append(error)

    task = asyncio.create_task(client())
    await until(lambda: house.wire.given)
    await turns()
    await left(task)
    assert [error.code for error in errors] == ["shutting_down"]
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.FAILED, 503)
    assert house.outcome.code == "shutting_down"
    assert [a.result for a in house.outcome.attempts] == ["cancelled"]
    assert house.idle()


async def test_a_client_that_leaves_while_the_replica_is_silent_is_told_with_its_attempt() -> None:
    house = House([FakeAnswer(steps=(forever,))])
    task = asyncio.create_task(house.ask())
    await until(lambda: house.wire.given)
    await turns()
    await left(task)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert [(a.replica, a.result) for a in house.outcome.attempts] == [("r0", "cancelled")]
    assert house.outcome.replica == "r0"
    assert house.wire.given[0].closed
    assert house.idle()


async def test_a_client_that_leaves_in_the_middle_closes_the_upstream() -> None:
    house = House([FakeAnswer(steps=(chunk("he"), forever))])
    task = asyncio.create_task(house.ask(a_call(stream=True)))
    await until(lambda: house.wire.given)
    await turns()
    await left(task)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert house.wire.given[0].closed
    assert house.router.faults == [("r0", None)]
    assert house.idle()


async def test_a_client_that_leaves_the_queue_is_settled_with_the_time_it_waited() -> None:
    rule = Rule()
    house = House([plain()], chain=[Link(rule, "r")], queue=QueueLimits(slots=1))
    async with house.admission.slot(a_call()):
        task = asyncio.create_task(house.ask())
        await until(lambda: house.admission.waiting("m"))
        house.clock.now = 3.0
        await left(task)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert house.outcome.queue_seconds == 3.0
    assert house.outcome.attempts == ()
    assert rule.settled == [house.outcome]
    assert house.wire.sent == []
    assert house.idle()


async def test_clients_that_leave_the_queue_as_a_slot_comes_free_are_cancelled_not_failed() -> None:
    house = House([plain()], queue=QueueLimits(slots=1))
    slot = house.admission.slot(a_call())
    await slot.__aenter__()
    tasks = [asyncio.create_task(house.ask()) for _ in range(3)]
    await until(lambda: house.admission.waiting("m") == 3)
    for task in tasks:
        task.cancel()
    await slot.__aexit__(None, None, None)  # before any of them has noticed
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 3
    assert [o.kind for o in house.telemetry.outcomes] == [OutcomeKind.CANCELLED] * 3
    assert house.idle()


async def test_a_client_that_leaves_while_its_request_is_prepared_is_cancelled() -> None:
    rule, began = Rule(), asyncio.Event()
    house = House([plain()], chain=[Link(rule, "r")])

    async def prepare(call: Call) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(house.ask(a_call(), prepare))
    await began.wait()
    await left(task)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert (rule.entered, rule.settled) == ([], [])


async def test_a_client_that_leaves_during_a_policy_is_settled_where_it_got_to() -> None:
    began = asyncio.Event()

    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    first, second, third = Rule(), Rule(lambda call: hang()), Rule()
    links = [Link(rule, str(number)) for number, rule in enumerate((first, second, third))]
    house = House([plain()], chain=links)
    task = asyncio.create_task(house.ask())
    await began.wait()
    await left(task)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert first.settled == second.settled == [house.outcome]
    assert third.settled == []


async def test_a_generator_over_the_pipeline_that_is_closed_early_counts_as_cancelled() -> None:
    house = House([streamed("he", "llo")])

    async def pieces() -> AsyncIterator[bytes]:
        async with house.pipeline.answer(a_call(stream=True)) as reply:
            async for piece in reply.chunks:
                yield piece

    async with aclosing(pieces()) as stream:  # type: ignore[type-var]
        await anext(stream)
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert house.idle()


# ---- Settling ------------------------------------------------------------------------------------


def crash(call: Call) -> None:
    raise ZeroDivisionError


async def test_an_after_that_breaks_loses_neither_the_others_nor_the_record() -> None:
    first, second = Rule(), Rule(after=crash)
    house = House([plain()], chain=[Link(first, "first"), Link(second, "second")])
    await house.ask()
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert first.settled == [house.outcome]
    assert ("second", "skipped") in house.telemetry.verdicts


class Slow:
    """An `after` that waits until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        await self.go.wait()


@pytest.mark.parametrize("times", [1, 2])
async def test_a_client_that_leaves_while_its_call_is_settled_loses_no_record(times: int) -> None:
    slow = Slow()
    first, second = Rule(), Rule(after=lambda call: slow())
    house = House([streamed("hi")], chain=[Link(first, "first"), Link(second, "second")])
    task = asyncio.create_task(house.ask(a_call(stream=True)))
    await slow.began.wait()
    for _ in range(times):
        task.cancel()
        await turns()
    assert not task.done(), "it settles first"
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.outcome.kind is OutcomeKind.COMPLETED, "it had the whole answer"
    assert first.settled == second.settled == [house.outcome]
    assert house.idle()


async def test_a_client_that_left_in_the_middle_and_is_cancelled_again_is_still_settled() -> None:
    slow = Slow()
    first, second = Rule(), Rule(after=lambda call: slow())
    stuck = FakeAnswer(steps=(chunk("he"), forever))
    house = House([stuck], chain=[Link(first, "first"), Link(second, "second")])
    task = asyncio.create_task(house.ask(a_call(stream=True)))
    await until(lambda: house.wire.given)
    await turns()
    task.cancel()
    await slow.began.wait()
    assert stuck.closed, "the replica does not wait for our bookkeeping"
    task.cancel()
    await turns()
    slow.go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert first.settled == second.settled == [house.outcome]


async def test_a_cancelled_scope_of_anyio_does_not_reach_into_settling() -> None:
    slow = Slow()
    first, second = Rule(), Rule(after=lambda call: slow())
    stuck = FakeAnswer(steps=(chunk("he"), forever))
    house = House([stuck], chain=[Link(first, "first"), Link(second, "second")])
    async with anyio.create_task_group() as group:
        group.start_soon(house.ask, a_call(stream=True))
        await until(lambda: house.wire.given)
        await turns()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await slow.began.wait()
            await turns()
            slow.go.set()
    assert house.outcome.kind is OutcomeKind.CANCELLED
    assert first.settled == second.settled == [house.outcome]
    assert house.idle()


async def test_an_after_that_cancels_itself_does_not_end_the_settling_of_who_has_left() -> None:
    async def lets_a_cancellation_escape() -> None:
        raise asyncio.CancelledError

    first, second = Rule(), Rule(after=lambda call: lets_a_cancellation_escape())
    stuck = FakeAnswer(steps=(chunk("he"), forever))
    house = House([stuck], chain=[Link(first, "first"), Link(second, "second")])
    task = asyncio.create_task(house.ask(a_call(stream=True)))
    await until(lambda: house.wire.given)
    await turns()
    await left(task)
    assert first.settled == [house.outcome]


async def test_an_attempt_is_on_the_record_also_when_the_client_leaves_as_it_is_told() -> None:
    began = asyncio.Event()

    class Learning(FakeRouter):
        async def succeeded(self, *args: Any) -> None:
            began.set()
            await asyncio.Event().wait()

    house = House([plain()], router=Learning())
    task = asyncio.create_task(house.ask())
    await began.wait()
    await left(task)
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert [(a.replica, a.result) for a in house.outcome.attempts] == [("r0", "ok")]
    assert house.idle()
