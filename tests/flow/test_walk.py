"""The attempts within one model: the budget, Retry-After, shares of the time, and a hedge."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.call import Attempt, Call
from gateway.domain.limits import Timeouts
from gateway.domain.record import Record
from gateway.domain.retry import Fault, RetryRule
from gateway.domain.retry_budget import RetryBudget
from gateway.flow.attempt import Ask, AttemptFailed, Attempts
from gateway.flow.hedge import Hedging
from gateway.flow.lease import Opened
from gateway.flow.walk import Gear, Means, Walk
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeRouter,
    FakeTelemetry,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)


class Path:
    """A walk on fakes. Sleeping moves the clock."""

    def __init__(
        self,
        answers: list[FakeAnswer | BaseException],
        *names: str,
        means: Means | None = None,
        timeouts: Timeouts | None = None,
        call: Call | None = None,
    ) -> None:
        self.clock = FakeClock()
        self.call = call or a_call()
        self.call.record = Record(self.clock)
        self.router = FakeRouter(*[a_replica(name) for name in names or ("r0",)])
        self.wire = FakeWire(answers)
        self.telemetry = FakeTelemetry()
        attempts = Attempts(
            self.router, self.wire, self.telemetry, timeouts or Timeouts(), self.clock
        )
        rule = RetryRule(3, (1.0, 2.0, 3.0), jitter=0.0)
        gear = Gear(self.router, attempts, rule, self.clock, lambda: 0.5, means or Means())
        self.made: list[Attempt] = []
        self.walk = Walk(gear, self.call, "m", self.made)

    async def go(self) -> Opened:
        return await self.walk.first(Ask(self.call.body, 60.0))

    @property
    def asked(self) -> list[str]:
        return [sent.url.split("/")[2].partition(".")[0] for sent in self.wire.sent]

    def notes(self, kind: str) -> list[dict[str, object]]:
        assert self.call.record is not None
        return [note.facts for note in self.call.record.notes if note.kind == kind]


# ---- Retry-After ---------------------------------------------------------------------------------


async def test_a_replica_may_ask_for_a_longer_rest_than_the_back_off(slept: list[float]) -> None:
    path = Path([failing(503, retry_after="7"), failing(503, retry_after="0.5"), plain()])
    await (await path.go()).end()
    assert slept == [7.0, 2.0], "longer, never shorter"


async def test_a_rest_that_passes_the_deadline_is_not_begun(slept: list[float]) -> None:
    path = Path([failing(503, retry_after="61")])
    with pytest.raises(AttemptFailed) as caught:
        await path.go()
    assert (slept, caught.value.retry_after) == ([], 61.0)


async def test_of_two_that_rest_the_one_that_is_back_first_is_asked(slept: list[float]) -> None:
    answers = [failing(503, retry_after="20"), failing(503, retry_after="5"), plain()]
    path = Path([*answers], "r0", "r1")
    await (await path.go()).end()
    assert slept == [5.0]
    assert path.asked == ["r0", "r1", "r1"]


# ---- The retry budget ----------------------------------------------------------------------------


async def test_a_spent_budget_ends_the_retries_and_says_so(slept: list[float]) -> None:
    path = Path([failing(500)] * 4, "r0", "r1", means=Means(RetryBudget(0.0, 0, lambda: 0.0)))
    with pytest.raises(AttemptFailed):
        await path.go()
    assert path.asked == ["r0", "r1"], "the first move to a replica in rotation is free"
    assert slept == []
    assert path.notes("retry_budget") == [{"spent": True, "after": "server_error"}]
    assert ("gw_retries_denied_total", "server_error") in path.telemetry.counts


async def test_a_spent_budget_ends_the_back_off_of_a_single_replica(slept: list[float]) -> None:
    path = Path([failing(500)] * 4, means=Means(RetryBudget(0.0, 0, lambda: 0.0)))
    with pytest.raises(AttemptFailed):
        await path.go()
    assert (path.asked, slept) == (["r0"], [])


async def test_within_the_budget_a_single_replica_is_retried_three_times(
    slept: list[float],
) -> None:
    path = Path([failing(500)] * 4, means=Means(RetryBudget(0.1, 3, lambda: 0.0)))
    with pytest.raises(AttemptFailed):
        await path.go()
    assert (len(path.asked), slept) == (4, [1.0, 2.0, 3.0])


async def test_going_on_with_a_broken_answer_needs_no_budget() -> None:
    means = Means(RetryBudget(0.0, 0, lambda: 0.0))
    path = Path([streamed("x")], "r0", "r1", means=means, call=a_call(stream=True))
    failed = AttemptFailed(Fault.BROKEN, "reset")
    opened = await path.walk.again(Ask(path.call.body, 60.0), failed, path.router.all[0])
    assert path.asked == ["r1"]
    await opened.end()


async def test_going_on_needs_no_budget_either_where_the_next_one_is_down_as_well() -> None:
    means = Means(RetryBudget(0.0, 0, lambda: 0.0))
    answers = [failing(503), streamed("x")]
    path = Path([*answers], "r0", "r1", "r2", means=means, call=a_call(stream=True))
    failed = AttemptFailed(Fault.BROKEN, "reset")
    opened = await path.walk.again(Ask(path.call.body, 60.0), failed, path.router.all[0])
    assert path.asked == ["r1", "r2"]
    await opened.end()


@pytest.mark.parametrize(("later", "waits"), [(0.5, [1.0]), (1.5, [])])
async def test_one_that_broke_longer_ago_than_a_back_off_goes_on_at_once(
    slept: list[float], later: float, waits: list[float]
) -> None:
    path = Path([streamed("x"), streamed("y")], "r0", "r1", call=a_call(stream=True))
    ask, failed = Ask(path.call.body, 60.0), AttemptFailed(Fault.BROKEN, "reset")
    first, second = path.router.all
    await (await path.walk.again(ask, failed, first)).end()
    path.clock.now += later
    await (await path.walk.again(ask, failed, second)).end()
    assert slept == waits
    assert path.asked == ["r1", "r0"]


async def test_the_failed_replica_goes_on_itself_where_it_is_the_only_one(
    slept: list[float],
) -> None:
    path = Path([streamed("x")], call=a_call(stream=True))
    failed = AttemptFailed(Fault.BROKEN, "reset")
    opened = await path.walk.again(Ask(path.call.body, 60.0), failed, path.router.all[0])
    assert (path.asked, slept) == (["r0"], [1.0])
    await opened.end()


# ---- Time ----------------------------------------------------------------------------------------


async def test_a_hung_first_replica_leaves_the_next_one_time_to_answer() -> None:
    silent = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
    times = Timeouts(first_token=60.0, total=0.2)
    path = Path([silent, streamed("x")], "r0", "r1", timeouts=times, call=a_call(stream=True))
    opened = await path.walk.first(Ask(path.call.body, 0.2))
    assert [(a.replica, a.result) for a in path.made] == [("r0", "timeout")]
    assert opened.lease.replica.id == "r1"
    assert silent.closed
    await opened.end()


async def test_failed_attempts_are_in_the_record() -> None:
    path = Path([failing(500), plain()], "r0", "r1")
    await (await path.go()).end()
    (note,) = path.notes("attempt")
    assert (note["replica"], note["result"]) == ("r0", "server_error")


# ---- Hedging -------------------------------------------------------------------------------------


def hedging(call: Call, *, samples: int = 5, seconds: float = 0.01, budget: float = 1.0) -> Hedging:
    known = Hedging(["m"], budget, 5)
    for _ in range(samples):
        known.learn(call, "m", seconds)
    return known


def slow() -> FakeAnswer:
    return FakeAnswer(steps=(lambda: asyncio.Event().wait(),))


async def test_a_slow_first_token_is_overtaken_by_a_second_replica() -> None:
    call, first = a_call(stream=True), slow()
    path = Path([first, streamed("x")], "r0", "r1", means=Means(hedging=hedging(call)), call=call)
    opened = await path.go()
    assert opened.lease.replica.id == "r1"
    assert first.closed, "the loser is cancelled before the winner is read"
    assert [(a.replica, a.result) for a in path.made] == [("r0", "cancelled")]
    assert path.notes("hedge")[0]["second"] == "r1"
    assert ("gw_hedges_total", "won") in path.telemetry.counts
    await opened.end()
    assert not any(path.router.load.values())


async def test_a_first_that_answers_after_all_wins_and_the_second_is_closed() -> None:
    call, go, second = a_call(stream=True), asyncio.Event(), slow()
    first = FakeAnswer(steps=(go.wait, chunk("x")))
    path = Path([first, second], "r0", "r1", means=Means(hedging=hedging(call)), call=call)
    task = asyncio.create_task(path.go())
    async with asyncio.timeout(5):
        while len(path.wire.given) < 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    go.set()
    opened = await task
    assert opened.lease.replica.id == "r0"
    assert second.closed
    assert ("gw_hedges_total", "lost") in path.telemetry.counts
    await opened.end()
    assert not any(path.router.load.values())


async def test_whoever_leaves_during_a_hedge_closes_both() -> None:
    call, both = a_call(stream=True), [slow(), slow()]
    path = Path([*both], "r0", "r1", means=Means(hedging=hedging(call)), call=call)
    task = asyncio.create_task(path.go())
    async with asyncio.timeout(5):
        while len(path.wire.given) < 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert all(answer.closed for answer in both)
    assert not any(path.router.load.values())
    assert [a.result for a in path.made] == ["cancelled", "cancelled"]


async def test_when_both_fail_the_next_replica_is_tried() -> None:
    call = a_call(stream=True)
    go = asyncio.Event()
    first = FakeAnswer(steps=(go.wait, b"data: [DONE]\n\n"))

    def fail() -> None:
        go.set()

    second = FakeAnswer(steps=(fail, b"data: [DONE]\n\n"))
    answers = [first, second, streamed("x")]
    path = Path([*answers], "r0", "r1", "r2", means=Means(hedging=hedging(call)), call=call)
    opened = await path.go()
    assert opened.lease.replica.id == "r2"
    assert ("gw_hedges_total", "failed") in path.telemetry.counts
    await opened.end()


@pytest.mark.parametrize(
    ("samples", "budget", "counts"),
    [(4, 1.0, []), (5, 0.0, [("gw_hedges_total", "skipped")])],
    ids=["too little known", "budget spent"],
)
async def test_nothing_is_hedged_without_knowledge_or_budget(
    samples: int, budget: float, counts: list[tuple[str, ...]]
) -> None:
    call, go = a_call(stream=True), asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, go.set)
    first = FakeAnswer(steps=(go.wait, chunk("x")))
    means = Means(hedging=hedging(call, samples=samples, budget=budget))
    path = Path([first, streamed("y")], "r0", "r1", means=means, call=call)
    opened = await path.go()
    assert path.asked == ["r0"]
    assert path.telemetry.counts == counts
    await opened.end()


async def test_a_plain_answer_is_hedged_by_the_time_that_plain_answers_take() -> None:
    call = a_call()
    path = Path([slow(), plain("x")], "r0", "r1", means=Means(hedging=hedging(call)), call=call)
    opened = await path.go()
    assert opened.lease.replica.id == "r1"
    await opened.end()
