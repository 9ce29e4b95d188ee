"""A share of the traces is kept, each client's own decision holds, and no error is missed."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway.adapters.sampling import Sampling
from gateway.adapters.spans import Origin
from gateway.domain.call import Outcome, OutcomeKind

DONE = Outcome(OutcomeKind.COMPLETED, 200, seconds=1.0)


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_a_share_is_kept_and_the_same_as_others_keep_at_that_ratio(ratio: float) -> None:
    ours, theirs = Sampling(ratio, 10), TraceIdRatioBased(ratio)
    chance = random.Random(7)
    kept = 0
    for _ in range(2000):
        trace_id = chance.getrandbits(128)
        decided = theirs.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
        assert ours.head(trace_id, None) is decided
        kept += decided
    assert kept / 2000 == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize("sampled", [False, True])
def test_what_the_client_has_decided_holds(sampled: bool) -> None:
    assert Sampling(0.5, 10).head(1, Origin(1, 1, sampled)) is sampled


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (DONE, False),
        (Outcome(OutcomeKind.COMPLETED, 200, seconds=10.0), True),
        (Outcome(OutcomeKind.CANCELLED, 499), False),
        (Outcome(OutcomeKind.REFUSED, 403), False),
        (Outcome(OutcomeKind.FAILED, 503), True),
        (Outcome(OutcomeKind.TIMEOUT, 504), True),
        (Outcome(OutcomeKind.TRUNCATED, 200), True),
    ],
)
def test_errors_and_slow_ones_are_kept_whatever_was_decided(outcome: Outcome, kept: bool) -> None:
    sampling = Sampling(0.0, 10)
    assert sampling.keeps(False, outcome) is kept
    assert sampling.keeps(True, outcome) is True
