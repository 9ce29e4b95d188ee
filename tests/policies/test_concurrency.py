"""The concurrency policy: so many at once, each given back however it ends."""

from __future__ import annotations

from typing import Any

import pytest

from gateway import Outcome
from gateway.domain.call import OutcomeKind
from gateway.domain.counters import CountersUnavailable
from gateway.domain.fixed import FixedCounters
from policies.concurrency import Concurrency
from tests.policies.counting import Bench, call, refusal


def at_once(bench: Bench, *rules: dict[str, Any], **settings: Any) -> Concurrency:
    return bench.make(Concurrency, rules=rules, **settings)


@pytest.mark.parametrize("kind", list(OutcomeKind))
async def test_one_too_many_is_refused_until_another_ends_however_it_does(
    kind: OutcomeKind,
) -> None:
    bench = Bench()
    policy = at_once(bench, {"per": "team", "calls": 1})
    first = call()
    await policy.before(first)
    error = await refusal(policy, call())
    assert (error.status, error.code) == (429, "concurrency_limit_exceeded")
    assert error.retry_after == 1
    assert bench.heard.limited == [("concurrency", "team")]
    await policy.before(call("ops"))
    await first.holds.release(Outcome(kind))
    await policy.before(call())


async def test_each_team_may_have_its_own_number_or_none() -> None:
    policy = at_once(Bench(), {"per": "team", "calls": {"batch": None, "ide": 2, "default": 0}})
    for _ in range(5):
        await policy.before(call("batch"))
    for _ in range(2):
        await policy.before(call("ide"))
    await refusal(policy, call("ide"))
    await refusal(policy, call("ops"))


async def test_time_alone_frees_nothing() -> None:
    bench = Bench()
    policy = at_once(bench, {"per": "key", "calls": 1})
    await policy.before(call())
    bench.clock.now += 1e6
    await refusal(policy, call())


async def test_a_rehearsal_takes_no_place() -> None:
    policy = at_once(Bench(), {"per": "key", "calls": 1})
    for _ in range(3):
        one = call()
        one.rehearsal = True
        await policy.before(one)


async def test_while_counters_are_away_calls_pass_or_not_as_was_said() -> None:
    counters = FixedCounters()
    counters.away = True
    bench = Bench(counters=counters)
    await at_once(bench, {"calls": 1}, when_unavailable="allow").before(call())
    with pytest.raises(CountersUnavailable):
        await at_once(bench, {"calls": 1}).before(call())
