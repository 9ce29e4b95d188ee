"""What a call holds comes back exactly once, in every way that a call can end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.domain.call import Call, Outcome, OutcomeKind
from gateway.domain.errors import GatewayError, Refusal
from gateway.domain.policy import Link
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault
from gateway.flow.lease import Lease
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeProbe,
    FakeRouter,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)
from tests.flow.house import House, Rule, forever


class Reserving:
    """A policy that holds something for each call; what is left of it when all is over."""

    def __init__(self) -> None:
        self.taken = 0
        self.given: list[Outcome] = []

    def before(self, call: Call) -> None:
        async def give(outcome: Outcome) -> None:
            await asyncio.sleep(0)  # as if a store were told
            self.given.append(outcome)

        self.taken += 1
        call.holds.add(give)

    def link(self, name: str = "reserving") -> Link:
        return Link(Rule(self.before), name)


def refuse(call: Call) -> None:
    raise Refusal("no")


def crash(call: Call) -> None:
    raise ValueError("a defect")


async def asked(house: House) -> None:
    await house.ask(a_call(stream=True))


async def left(house: House) -> None:
    async with house.pipeline.answer(a_call(stream=True)) as reply:
        await anext(aiter(reply.chunks))


async def cancelled(house: House) -> None:
    task = asyncio.ensure_future(house.ask(a_call(stream=True)))
    for _ in range(20):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


SILENT = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
STUCK = FakeAnswer(steps=(chunk("one"), lambda: asyncio.Event().wait()))
CUT = streamed("one", finish=None, done=False)
GONE = WireError(Fault.CONNECT, "refused")


@pytest.mark.parametrize(
    ("answers", "then", "way", "ended"),
    [
        ([streamed("one")], None, asked, OutcomeKind.COMPLETED),
        ([], refuse, asked, OutcomeKind.REFUSED),
        ([], crash, asked, OutcomeKind.FAILED),
        ([], lambda call: forever(), cancelled, OutcomeKind.CANCELLED),
        ([SILENT], None, cancelled, OutcomeKind.CANCELLED),
        ([STUCK], None, cancelled, OutcomeKind.CANCELLED),
        ([STUCK], None, left, OutcomeKind.FAILED),
        ([failing(500), streamed("one")], None, asked, OutcomeKind.COMPLETED),
        ([GONE, GONE, GONE], None, asked, OutcomeKind.FAILED),
        ([CUT, streamed(" two")], None, asked, OutcomeKind.COMPLETED),
        ([CUT, GONE, GONE], None, asked, OutcomeKind.TRUNCATED),
    ],
    ids=str.split(
        "completed refused crashed in_a_policy before_an_answer within_it given_up retried "
        "unreachable handed_over cut"
    ),
)
async def test_all_comes_back_once_however_a_call_ends(
    answers: list[FakeAnswer | BaseException],
    then: Callable[[Call], object] | None,
    way: Callable[[House], Awaitable[None]],
    ended: OutcomeKind,
) -> None:
    first, second = Reserving(), Reserving()
    chain = [first.link(), *([Link(Rule(then), "then")] if then else []), second.link("second")]
    house = House(answers, chain=chain)
    try:
        await way(house)
    except GatewayError:
        assert ended is not OutcomeKind.COMPLETED
    assert [one.kind for one in first.given] == [ended]
    assert len(second.given) == second.taken == (0 if then else 1)
    assert not any(house.router.load.values())
    assert house.admission.running("m") == 0


async def test_it_has_come_back_before_a_policy_hears_the_end() -> None:
    reserving, seen = Reserving(), list[int]()
    watching = Rule(after=lambda call: seen.append(len(reserving.given)))
    house = House([plain()], chain=[Link(watching, "w"), reserving.link()])
    await house.ask()
    assert seen == [1]


async def test_one_that_cannot_be_given_back_keeps_no_other_and_the_call_is_settled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(call: Call) -> None:
        async def give(outcome: Outcome) -> None:
            raise OSError

        call.holds.add(give)

    reserving = Reserving()
    house = House([plain()], chain=[reserving.link(), Link(Rule(broken), "broken")])
    await house.ask()
    assert len(reserving.given) == 1
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert "could not be given back" in caplog.text


async def test_a_client_that_leaves_while_it_comes_back_stops_nothing() -> None:
    begun, goes_on, given = asyncio.Event(), asyncio.Event(), list[Outcome]()

    def slow(call: Call) -> None:
        async def give(outcome: Outcome) -> None:
            begun.set()
            await goes_on.wait()
            given.append(outcome)

        call.holds.add(give)

    house = House([plain()], chain=[Link(Rule(slow), "slow")])
    asking = asyncio.ensure_future(house.ask())
    await begun.wait()
    asking.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(given) == 1
    assert house.outcome.kind is OutcomeKind.COMPLETED


async def test_a_lease_that_nobody_ends_is_given_back_with_its_call() -> None:
    call, router, probe = a_call(), FakeRouter(), FakeProbe()
    lease = Lease(call, a_replica(), router, probe, FakeClock())
    assert router.load == {"r0": 1}
    await call.holds.release(Outcome())
    assert router.load == {"r0": 0}
    lease.end("ok")
    assert [one.result for one in probe.ended] == ["cancelled"]
