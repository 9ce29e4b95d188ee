"""Leases: the load of an attempt is given back exactly once, and the connection kept or dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.call import Attempt, Call, Reply, Usage
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.flow.lease import Lease, Opened
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeProbe,
    FakeRouter,
    a_call,
    a_replica,
    plain,
)


class Bench:
    """A lease on a replica that has answered, and all that it reports to."""

    def __init__(self, router: FakeRouter | None = None, *, answered: bool = True) -> None:
        self.clock = FakeClock(100.0)
        self.router = router or FakeRouter()
        self.probe = FakeProbe()
        self.answer = plain()
        self.lease = Lease(a_call(), a_replica(), self.router, self.probe, self.clock)
        if answered:
            self.lease.response = self.answer

    def opened(self, *, complete: bool, usage: Usage | None = None) -> Opened:
        reply = Reply(nothing(), stream=True, replica="r0", usage=usage, complete=complete)
        return Opened(reply, self.lease)

    @property
    def connection(self) -> tuple[bool, bool]:
        """Whether it was kept for another request; whether it was dropped."""
        return self.answer.released, self.answer.closed


async def nothing() -> AsyncIterator[bytes]:
    yield b""


# ── the lease ────────────────────────────────────────────────────────────────────────────────────


def test_the_load_of_the_replica_grows_as_soon_as_there_is_a_lease() -> None:
    bench = Bench()
    assert bench.router.load == {"r0": 1}
    assert bench.router.faults == []
    assert not bench.lease.ended


def test_a_good_end_keeps_the_connection_and_blames_nobody() -> None:
    bench = Bench()
    bench.clock.now += 2.5
    bench.lease.end("ok")
    assert bench.connection == (True, False)
    assert bench.router.load == {"r0": 0}
    assert bench.router.faults == [("r0", None)]
    assert bench.probe.ended == [Attempt("r0", "ok", 2.5, 200)]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_drops_the_connection_and_is_reported(fault: Fault) -> None:
    bench = Bench()
    bench.lease.end(fault, fault)
    assert bench.connection == (False, True)
    assert bench.router.faults == [("r0", fault)]
    assert bench.probe.ended == [Attempt("r0", fault.value, 0.0, 200)]


def test_a_result_may_be_bad_without_being_the_replicas_fault() -> None:
    bench = Bench()
    bench.lease.end("rejected", None)
    assert bench.connection == (False, True)
    assert bench.router.faults == [("r0", None)]
    assert bench.probe.ended[0].result == "rejected"


def test_only_the_first_end_counts() -> None:
    bench = Bench()
    bench.lease.end(Fault.TIMEOUT, Fault.TIMEOUT)
    bench.clock.now += 9.0
    bench.lease.end("ok")
    bench.lease.end("cancelled")
    assert bench.lease.ended
    assert bench.connection == (False, True)
    assert bench.router.load == {"r0": 0}
    assert bench.router.faults == [("r0", Fault.TIMEOUT)]
    assert bench.probe.ended == [Attempt("r0", "timeout", 0.0, 200)]


def test_a_lease_without_an_answer_has_no_connection_to_end() -> None:
    bench = Bench(answered=False)
    bench.lease.end(Fault.CONNECT, Fault.CONNECT)
    assert bench.connection == (False, False)
    assert bench.router.load == {"r0": 0}


def test_an_attempt_seen_before_its_end_lasts_until_now() -> None:
    bench = Bench()
    bench.clock.now += 1.5
    assert bench.lease.seen("ok") == Attempt("r0", "ok", 1.5, 200)
    assert not bench.lease.ended
    assert bench.probe.ended == []


def test_how_long_the_replica_wants_to_be_left_alone_reaches_the_router() -> None:
    heard: list[float | None] = []

    class Listening(FakeRouter):
        def ended(
            self,
            call: Call,
            replica: Replica,
            fault: Fault | None,
            *,
            retry_after: float | None = None,
        ) -> None:
            heard.append(retry_after)
            super().ended(call, replica, fault, retry_after=retry_after)

    Bench(Listening()).lease.end(Fault.RATE_LIMITED, Fault.RATE_LIMITED, 12.0)
    Bench(Listening()).lease.end("ok")
    assert heard == [12.0, None]


def test_the_load_is_given_back_even_where_the_connection_cannot_be_closed() -> None:
    class Stuck(FakeAnswer):
        def close(self) -> None:
            raise OSError("the socket is gone")

    bench = Bench()
    bench.lease.response = Stuck()
    with pytest.raises(OSError, match="gone"):
        bench.lease.end("cancelled")
    bench.lease.end("ok")
    assert bench.router.load == {"r0": 0}
    assert bench.probe.ended == [Attempt("r0", "cancelled", 0.0, 200)]


# ── the answer on it ─────────────────────────────────────────────────────────────────────────────


async def test_a_complete_answer_is_what_the_router_learns_from() -> None:
    bench = Bench()
    usage = Usage(prompt=5, completion=7, cached=2)
    opened = bench.opened(complete=True, usage=usage)
    bench.clock.now += 3.0
    await opened.end()
    assert bench.connection == (True, False)
    assert bench.router.faults == [("r0", None)]
    assert bench.router.successes == [("r0", usage)]
    assert bench.probe.ended == [Attempt("r0", "ok", 3.0, 200)]


async def test_the_router_learns_how_long_the_whole_answer_took() -> None:
    took: list[float] = []

    class Timing(FakeRouter):
        async def succeeded(
            self, call: Call, replica: Replica, usage: Usage | None, seconds: float
        ) -> None:
            assert self.load == {"r0": 0}, "the load is given back before anybody waits"
            took.append(seconds)

    bench = Bench(Timing())
    bench.clock.now += 4.0
    await bench.opened(complete=True).end()
    assert took == [4.0]


async def test_who_leaves_early_is_no_fault_of_the_replica() -> None:
    bench = Bench()
    await bench.opened(complete=False).end()
    assert bench.connection == (False, True)
    assert bench.router.faults == [("r0", None)]
    assert bench.router.successes == []
    assert bench.probe.ended[0].result == "cancelled"


async def test_a_stream_that_was_cut_is_a_fault_of_the_replica() -> None:
    bench = Bench()
    opened = bench.opened(complete=False)
    opened.fault = Fault.BROKEN
    await opened.end()
    assert bench.connection == (False, True)
    assert bench.router.faults == [("r0", Fault.BROKEN)]
    assert bench.probe.ended[0].result == "connection_broken"


@pytest.mark.parametrize("complete", [True, False])
async def test_settling_twice_settles_once(complete: bool) -> None:
    bench = Bench()
    opened = bench.opened(complete=complete)
    await opened.end()
    opened.reply.complete = True
    await opened.end()
    assert bench.router.load == {"r0": 0}
    assert len(bench.router.faults) == len(bench.probe.ended) == 1
    assert len(bench.router.successes) == int(complete)


async def test_a_lease_that_has_ended_already_is_left_alone() -> None:
    bench = Bench()
    bench.lease.end(Fault.GARBAGE, Fault.GARBAGE)
    await bench.opened(complete=True).end()
    assert bench.router.successes == []
    assert [attempt.result for attempt in bench.probe.ended] == ["garbage"]


# ── a replica that goes down ─────────────────────────────────────────────────────────────────────


def down(router: FakeRouter) -> None:
    for hear in tuple(router.watchers["r0"]):
        hear()


async def test_what_is_awaited_of_a_replica_that_goes_down_has_one_second_more() -> None:
    bench, loop = Bench(), asyncio.get_running_loop()
    async with asyncio.timeout(60) as bench.lease.limit:
        down(bench.router)
        when = bench.lease.limit.when()
        assert when is not None
        assert when <= loop.time() + 1.0
        bench.lease.limit.reschedule(None)
        await asyncio.sleep(0)
    down(bench.router)  # nothing is awaited now, and nothing happens
    assert bench.lease.hurried


async def test_whoever_has_less_time_than_that_gets_no_more_of_it() -> None:
    bench = Bench()
    async with asyncio.timeout(0.5) as bench.lease.limit:
        before = bench.lease.limit.when()
        down(bench.router)
        assert bench.lease.limit.when() == before
        await asyncio.sleep(0)


def test_after_its_end_a_lease_watches_nobody() -> None:
    bench = Bench()
    bench.lease.end("ok")
    assert bench.router.watchers == {"r0": []}
