"""The verdict on a call: failed until there is proof of something better."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.domain.call import Attempt, Outcome, OutcomeKind, Reply, Usage
from gateway.domain.errors import (
    ClientStalled,
    GatewayError,
    InvalidRequest,
    LLMError,
    LLMTimeoutError,
    ModelNotFound,
    Overloaded,
    Refusal,
    RejectedByReplica,
    ReplicaBusy,
    StreamTruncated,
    Unauthorized,
)
from gateway.domain.policy import PolicyFailed
from gateway.flow.meter import Meter
from gateway.testing.fakes import FakeClock, a_call

REFUSED, FAILED, CANCELLED = OutcomeKind.REFUSED, OutcomeKind.FAILED, OutcomeKind.CANCELLED
COMPLETED, TIMEOUT, TRUNCATED = OutcomeKind.COMPLETED, OutcomeKind.TIMEOUT, OutcomeKind.TRUNCATED


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


def a_reply(*, complete: bool) -> Reply:
    return Reply(
        _nothing(),
        stream=True,
        replica="r1",
        usage=Usage(5, 2, 1),
        finish_reason="stop" if complete else "",
        served_model="served-m",
        first_token_seconds=0.5,
        complete=complete,
    )


def ended(
    error: BaseException | None = None, reply: Reply | None = None, *attempts: Attempt
) -> Outcome:
    meter = Meter(a_call(), FakeClock(3.0), list(attempts), reply, error)
    return meter.outcome()


NONE, BEGUN, WHOLE = "no answer", "begun", "whole"
CUT = StreamTruncated()
LEFT = asyncio.CancelledError()


@pytest.mark.parametrize(
    ("error", "read", "kind", "status", "code"),
    [
        (None, NONE, FAILED, 500, "internal_error"),
        (None, BEGUN, FAILED, 500, "internal_error"),
        (None, WHOLE, COMPLETED, 200, ""),
        (LEFT, NONE, CANCELLED, 499, "client_disconnected"),
        (LEFT, BEGUN, CANCELLED, 499, "client_disconnected"),
        (LEFT, WHOLE, COMPLETED, 200, ""),
        (GeneratorExit(), NONE, CANCELLED, 499, "client_disconnected"),
        (GeneratorExit(), BEGUN, CANCELLED, 499, "client_disconnected"),
        (GeneratorExit(), WHOLE, COMPLETED, 200, ""),
        (ZeroDivisionError(), NONE, FAILED, 500, "internal_error"),
        (ZeroDivisionError(), BEGUN, FAILED, 500, "internal_error"),
        (ZeroDivisionError(), WHOLE, FAILED, 500, "internal_error"),
        (KeyboardInterrupt(), BEGUN, FAILED, 500, "internal_error"),
        (LLMTimeoutError(), NONE, TIMEOUT, 504, "timeout"),
        (LLMTimeoutError(), BEGUN, TIMEOUT, 504, "timeout"),
        (CUT, BEGUN, TRUNCATED, 502, "upstream_truncated"),
        (Unauthorized(), NONE, REFUSED, 401, "invalid_api_key"),
        (InvalidRequest(), NONE, REFUSED, 400, "invalid_request"),
        (ModelNotFound(), NONE, REFUSED, 404, "model_not_found"),
        (Refusal(status=451), NONE, REFUSED, 451, "refused_by_policy"),
        (Refusal(), WHOLE, REFUSED, 403, "refused_by_policy"),
        (Overloaded(), NONE, REFUSED, 429, "queue_full"),
        (ClientStalled(), NONE, CANCELLED, 499, "client_stalled"),
        (ReplicaBusy(), NONE, REFUSED, 429, "replica_rate_limited"),
        (RejectedByReplica("no", status=422, code="c"), NONE, REFUSED, 422, "c"),
        (PolicyFailed(), NONE, FAILED, 503, "policy_failed"),
        (PolicyFailed(), WHOLE, FAILED, 503, "policy_failed"),
        (LLMError(), NONE, FAILED, 503, "replica_unavailable"),
        (GatewayError(), NONE, FAILED, 500, "internal_error"),
    ],
)
def test_how_a_call_ended(
    error: BaseException | None, read: str, kind: OutcomeKind, status: int, code: str
) -> None:
    reply = None if read == NONE else a_reply(complete=read == WHOLE)
    outcome = ended(error, reply)
    assert (outcome.kind, outcome.status, outcome.code) == (kind, status, code)


def test_the_record_has_what_the_replica_told_and_how_long_it_all_took() -> None:
    reply, made = a_reply(complete=True), Attempt("r1", "ok", 2.0)
    outcome = ended(None, reply, Attempt("r0", "timeout", 1.0), made)
    assert outcome.usage == Usage(5, 2, 1)
    assert (outcome.replica, outcome.served_model, outcome.finish_reason) == (
        "r1",
        "served-m",
        "stop",
    )
    assert outcome.attempts == (Attempt("r0", "timeout", 1.0), made)
    assert (outcome.seconds, outcome.first_token_seconds) == (3.0, 0.5)


def test_without_an_answer_the_last_replica_that_was_tried_is_named_and_nothing_is_guessed() -> (
    None
):
    outcome = ended(LLMError(), None, Attempt("r0", "timeout", 1.0), Attempt("r1", "garbage", 1.0))
    assert outcome.replica == "r1"
    assert (outcome.usage, outcome.first_token_seconds, outcome.served_model) == (None, None, "")


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": "four" * 25}]},
        {"prompt": ["four" * 20, "four" * 5]},
        {"prompt": list(range(25))},
        {"prompt": [list(range(20)), list(range(5))]},
        {"input": "four" * 25},
        {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "four" * 25},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9999}},
        ]}]},
    ],
)  # fmt: skip
@pytest.mark.parametrize(("error", "result"), [(LEFT, "cancelled"), (LLMTimeoutError(), "timeout")])
def test_whoever_leaves_a_replica_at_work_has_used_the_prompt(
    body: dict[str, object], error: BaseException, result: str
) -> None:
    call = replace(a_call(), body=body)
    meter = Meter(call, FakeClock(3.0), [Attempt("r0", result, 1.0)], None, error)
    assert meter.outcome().usage == Usage(25, estimated=True)


def test_whoever_leaves_before_a_replica_heard_of_it_has_used_nothing() -> None:
    assert ended(LEFT).usage is None
    assert ended(LEFT, None, Attempt("r0", "connect_error", 1.0)).usage is None


def test_a_call_that_reached_no_replica_names_none() -> None:
    assert ended(Unauthorized()).replica == ""
    assert ended(Unauthorized()).attempts == ()


def test_the_time_in_the_queue_is_the_calls_own() -> None:
    call = a_call()
    call.queue_seconds = 1.5
    assert Meter(call, FakeClock(3.0)).outcome().queue_seconds == 1.5


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (None, ""),
        (LEFT, ""),
        (GeneratorExit(), ""),
        (ZeroDivisionError("ours"), "ZeroDivisionError: ours"),
        (LLMError(detail="r0: connect_error: refused"), "r0: connect_error: refused"),
        (ModelNotFound("The model 'x' does not exist"), ""),
    ],
)
def test_the_detail_is_for_the_log_and_says_what_the_code_does_not(
    error: BaseException | None, detail: str
) -> None:
    assert ended(error).detail == detail


def test_an_outcome_that_nobody_filled_in_is_a_failure() -> None:
    assert (Outcome().kind, Outcome().status) == (OutcomeKind.FAILED, 500)
