"""How a replica leaves rotation and comes back."""

from __future__ import annotations

import pytest

from gateway.domain.retry import Fault
from gateway.domain.standing import Regard, Standing, State


def test_one_bad_probe_is_no_reason_to_leave_two_are() -> None:
    standing = Standing(0.0)
    standing.probe_failed(1.0, "GET /health: 503", after=2)
    assert standing.takes(9)
    standing.probe_failed(2.0, "GET /health: 503", after=2)
    assert not standing.in_rotation
    assert standing.state(cooling=True) is State.UNHEALTHY
    assert standing.reason(State.UNHEALTHY, 2.0) == "GET /health: 503"


def test_only_bad_probes_in_a_row_count() -> None:
    standing = Standing(0.0)
    for now in range(6):
        standing.probe_failed(now, "timeout", after=2)
        standing.probe_passed(now)
    assert standing.state(cooling=False) is State.HEALTHY


def unhealthy() -> Standing:
    standing = Standing(0.0)
    standing.probe_failed(1.0, "gone", after=1)
    return standing


def test_one_good_probe_puts_it_on_trial_with_one_request_at_a_time() -> None:
    standing = unhealthy()
    standing.probe_passed(2.0)
    assert standing.state(cooling=False) is State.HALF_OPEN
    assert standing.takes(0)
    assert not standing.takes(1)
    standing.attempt_passed(3.0)
    assert standing.state(cooling=False) is State.HEALTHY
    assert standing.takes(7)


@pytest.mark.parametrize("fault", [Fault.CONNECT, Fault.SERVER_ERROR, Fault.TRUNCATED])
def test_a_failed_trial_takes_it_out_again(fault: Fault) -> None:
    standing = unhealthy()
    standing.probe_passed(2.0)
    standing.attempt_failed(3.0, fault)
    assert standing.state(cooling=False) is State.UNHEALTHY
    assert str(fault) in standing.why


def test_a_429_does_not_fail_a_trial() -> None:
    standing = unhealthy()
    standing.probe_passed(2.0)
    standing.attempt_failed(3.0, Fault.RATE_LIMITED)
    assert standing.state(cooling=False) is State.HALF_OPEN


def test_a_bad_probe_ends_a_trial_at_once() -> None:
    standing = unhealthy()
    standing.probe_passed(2.0)
    standing.probe_failed(3.0, "gone again", after=5)
    assert standing.state(cooling=False) is State.UNHEALTHY


def test_failing_requests_alone_are_for_cooldowns_to_judge() -> None:
    standing = Standing(0.0)
    for now in range(20):
        standing.attempt_failed(now, Fault.SERVER_ERROR)
    assert standing.state(cooling=False) is State.HEALTHY
    assert standing.state(cooling=True) is State.COOLING
    assert standing.reason(State.COOLING, 24.0) == "server_error, 5 s ago"


def test_a_full_answer_is_better_proof_than_a_probe() -> None:
    standing = unhealthy()
    standing.attempt_passed(2.0)
    assert standing.takes(3)


def test_drained_comes_before_all_else_and_hides_nothing() -> None:
    standing = unhealthy()
    standing.drain(5.0, "new card")
    standing.drain(6.0, "new fan")
    assert standing.drained == 5.0
    assert standing.state(cooling=True) is State.DRAINED
    assert standing.reason(State.DRAINED, 7.0) == "new fan"
    standing.undrain()
    assert standing.state(cooling=True) is State.UNHEALTHY


def test_only_healthy_and_half_open_are_up() -> None:
    assert {state for state in State if state.up} == {State.HEALTHY, State.HALF_OPEN}


# ---- Trust ---------------------------------------------------------------------------------------


def test_a_new_one_is_trusted() -> None:
    assert Standing(0.0).regard(0.0) is Regard.TRUSTED


def test_after_a_failure_it_takes_an_answer_or_a_second_to_be_trusted_again() -> None:
    one = Standing(0.0)
    one.attempt_failed(5.0, Fault.SERVER_ERROR)
    assert one.regard(5.9) is Regard.DOUBTED
    assert one.regard(6.0) is Regard.TRUSTED
    one.attempt_passed(5.0)
    assert one.regard(5.0) is Regard.TRUSTED


def test_one_that_is_drained_or_down_is_out_whatever_it_answers() -> None:
    one = Standing(0.0)
    one.drain(0.0, "tests")
    one.attempt_passed(0.0)
    assert one.regard(0.0) is Regard.OUT
    one.undrain()
    one.probe_failed(0.0, "GET /health: 503", after=1)
    assert one.regard(0.0) is Regard.OUT
