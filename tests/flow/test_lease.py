"""What an attempt holds is given back once, and the replica is blamed only for its own faults."""

from __future__ import annotations

import pytest

from gateway.domain.call import Reply, Usage
from gateway.domain.retry import Fault
from gateway.flow.lease import Lease, Opened
from gateway.testing.fakes import FakeAnswer, FakeClock, FakeProbe, FakeRouter, a_call, a_replica


def a_lease() -> tuple[Lease, FakeRouter, FakeAnswer]:
    router, answer = FakeRouter(), FakeAnswer()
    lease = Lease(a_call(), a_replica(), router, FakeProbe(), FakeClock())
    lease.response = answer
    return lease, router, answer


async def nothing():  # type: ignore[no-untyped-def]
    return
    yield


def opened_on(lease: Lease, **more: object) -> Opened:
    return Opened(Reply(nothing(), stream=True, replica="r0", **more), lease)  # type: ignore[arg-type]


def test_a_good_answer_keeps_the_connection_and_any_other_end_drops_it() -> None:
    lease, _, answer = a_lease()
    lease.end("ok")
    assert (answer.released, answer.closed) == (True, False)
    lease, _, answer = a_lease()
    lease.end("cancelled")
    assert (answer.released, answer.closed) == (False, True)


def test_only_the_first_end_counts() -> None:
    lease, router, _ = a_lease()
    assert router.load == {"r0": 1}
    lease.end("timeout", Fault.TIMEOUT)
    lease.end("ok")
    assert router.load == {"r0": 0}
    assert router.faults == [("r0", Fault.TIMEOUT)]


@pytest.mark.parametrize(
    ("fault", "told"),
    [(None, None), (Fault.BROKEN, Fault.BROKEN), (Fault.UNSUPPORTED, None)],
)
async def test_an_answer_that_was_left_blames_the_replica_for_what_it_did(
    fault: Fault | None, told: Fault | None
) -> None:
    lease, router, _ = a_lease()
    opened = opened_on(lease)
    opened.fault = fault
    await opened.end()
    assert router.faults == [("r0", told)]


async def test_a_complete_answer_is_a_success_with_its_usage() -> None:
    lease, router, _ = a_lease()
    await opened_on(lease, complete=True, usage=Usage(1, 2)).end()
    assert router.successes == [("r0", Usage(1, 2))]
