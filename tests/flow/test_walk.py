"""The attempts within one model: the budget, Retry-After, shares of the time, and a hedge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

import pytest

from gateway.domain.call import Attempt, Call
from gateway.domain.errors import ModelNotFound
from gateway.domain.limits import Timeouts
from gateway.domain.ports import Replica
from gateway.domain.record import Record
from gateway.domain.retry import Fault, RetryRule
from gateway.domain.retry_budget import RetryBudget
from gateway.flow.asking import Ask
from gateway.flow.attempt import AttemptFailed, Attempts
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


async def test_a_hedge_holds_its_place_before_its_task_begins() -> None:
    call = a_call(stream=True)
    path = Path([slow(), slow()], "r0", "r1", means=Means(hedging=hedging(call)), call=call)
    loads: list[dict[str, int]] = []
    pick = path.router.pick

    async def noted(call: Call, model: str, tried: Collection[str]) -> Replica | None:
        found = await pick(call, model, tried)
        asyncio.get_running_loop().call_soon(lambda: loads.append(dict(path.router.load)))
        return found

    path.router.pick = noted  # type: ignore[method-assign]
    task = asyncio.create_task(path.go())
    async with asyncio.timeout(5):
        while len(path.wire.given) < 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)
    assert loads == [{"r0": 1}, {"r0": 1, "r1": 1}]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not any(path.router.load.values())


# ---- Replicas that are taken away meanwhile ------------------------------------------------------


def when_slept(monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]) -> None:
    """`then` happens during each back-off, which takes no time."""
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            then()
        await real(0)

    monkeypatch.setattr("gateway.flow.walk.asyncio.sleep", sleep)


async def test_one_that_is_drained_during_the_back_off_gets_no_new_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path([failing(500), plain()])
    when_slept(monkeypatch, lambda: path.router.drained.add("r0"))
    with pytest.raises(AttemptFailed):
        await path.go()
    assert path.asked == ["r0"]


async def test_one_that_a_reload_removes_during_the_back_off_gets_no_new_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = Path([failing(500), plain()])
    path.router.cooling.add("r1")

    def reload() -> None:
        path.router.all = (a_replica("r1"),)

    when_slept(monkeypatch, reload)
    with pytest.raises(AttemptFailed):
        await path.go()
    assert path.asked == ["r0"]


async def test_one_that_only_cools_down_is_asked_again(slept: list[float]) -> None:
    path = Path([failing(500), plain()])

    class Cooling(FakeAnswer):
        def close(self) -> None:
            path.router.cooling.add("r0")

    path.wire.answers[0] = Cooling(status=500)
    await (await path.go()).end()
    assert (path.asked, slept) == (["r0", "r0"], [1.0])


async def test_a_call_whose_model_is_removed_keeps_the_replicas_that_it_came_for(
    slept: list[float],
) -> None:
    path = Path([failing(500), failing(500), plain()], "r0", "r1")
    path.walk = Walk(path.walk._gear, path.call, "m", path.made, path.router.all)
    path.router.all = (a_replica("other", "n"),)
    await (await path.go()).end()
    assert sorted(path.asked[:2]) == ["r0", "r1"]
    assert (len(path.asked), slept) == (3, [1.0])


async def test_of_those_it_keeps_a_drained_one_is_not_asked() -> None:
    path = Path([plain()], "r0", "r1")
    path.walk = Walk(path.walk._gear, path.call, "m", path.made, path.router.all)
    path.router.all = (a_replica("other", "n"),)
    path.router.drained = {"r0"}
    await (await path.go()).end()
    assert path.asked == ["r1"]


async def test_an_unknown_model_is_still_told() -> None:
    path = Path([plain()])
    path.router.all = (a_replica("other", "n"),)
    with pytest.raises(ModelNotFound):
        await path.go()


# ---- What moves for nothing ----------------------------------------------------------------------


async def test_a_move_to_a_replica_that_fails_as_well_is_no_longer_free() -> None:
    path = Path([failing(500)] * 4, "r0", "r1", means=Means(RetryBudget(0.0, 0, lambda: 0.0)))
    path.router.doubted = {"r1"}
    with pytest.raises(AttemptFailed):
        await path.go()
    assert path.asked == ["r0"]


async def test_the_second_hand_over_of_a_call_is_free_only_to_a_trusted_replica() -> None:
    means = Means(RetryBudget(0.0, 0, lambda: 0.0))
    path = Path([streamed("x")] * 3, "r0", "r1", "r2", means=means, call=a_call(stream=True))
    path.router.doubted = {"r1", "r2"}
    failed = AttemptFailed(Fault.BROKEN, "reset")
    ask, (first, second, _) = Ask(path.call.body, 60.0), path.router.all
    await (await path.walk.again(ask, failed, first)).end()
    with pytest.raises(AttemptFailed):
        await path.walk.again(ask, failed, second)
    path.router.doubted = set()
    await (await path.walk.again(ask, failed, second)).end()
    assert path.asked == ["r1", "r2"]


async def test_one_that_is_drained_is_no_other_to_hurry_for() -> None:
    times = Timeouts(first_token=60.0, total=60.0)
    path = Path([streamed("x")], "r0", "r1", timeouts=times, call=a_call(stream=True))
    path.router.drained = {"r1"}
    told: list[bool] = []
    make = path.walk._gear.attempts.make

    async def noted(*given: Any, others: bool) -> Opened:
        told.append(others)
        return await make(*given, others=others)

    path.walk._gear.attempts.make = noted  # type: ignore[method-assign]
    await (await path.go()).end()
    assert told == [False]
