"""The bench walks a policy through its moments as the gateway would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway import Call, Delta, Outcome, Policy, Refusal
from gateway.domain.ledger import Spent
from gateway.domain.policy import Link
from gateway.domain.prices import Price, Prices
from gateway.testing.policy_bench import PolicyBench, policy_call
from policies.budget import Budget
from policies.guard_output import GuardOutput
from policies.ratelimit import Ratelimit

pytest_plugins = ("gateway.testing.plugin",)


class Loud(Policy):
    """Refuses a question, shouts an answer, hears of the end."""

    outcomes: list[Outcome]

    async def before(self, call: Call) -> None:
        self.outcomes = []
        if "?" in str(call.body):
            raise Refusal("No questions.")

    async def during(self, call: Call, delta: Delta) -> Delta:
        return replace(delta, text=delta.text.upper())

    async def after(self, call: Call, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_goes_all_the_way(policy_bench: PolicyBench, stream: bool) -> None:
    loud = policy_bench.make(Loud)
    ran = policy_bench.run(loud, call=policy_call(stream=stream), answer="hello", pieces=2)
    assert (ran.text, ran.error) == ("HELLO", None)
    assert ran.verdicts == [("loud", "allowed")] * 2
    assert [outcome.kind.value for outcome in loud.outcomes] == ["completed"]


def test_a_refusal_ends_it_and_after_still_hears(policy_bench: PolicyBench) -> None:
    loud = policy_bench.make(Loud)
    ran = policy_bench.run(loud, call=policy_call("why?"), answer="hello")
    assert ran.refused is not None
    assert (ran.refused.public, ran.text, ran.failed) == ("No questions.", "", None)
    assert [outcome.kind.value for outcome in loud.outcomes] == ["refused"]


def test_an_answer_is_cut_at_every_border(policy_bench: PolicyBench) -> None:
    guard = policy_bench.make(GuardOutput, patterns={"secret": "AKIA[0-9]{4}"})
    for ran in policy_bench.run_split(guard, answer="so: AKIA1234!"):
        assert ran.refused is not None
        assert "so: ".startswith(ran.text)
    assert {ran.text for ran in policy_bench.run_split(guard, answer="so: AKIA!")} == {"so: AKIA!"}


def test_a_policy_that_breaks_is_told_from_one_that_refuses(policy_bench: PolicyBench) -> None:
    class Broken(Policy):
        async def before(self, call: Call) -> None:
            raise ValueError

    broken = policy_bench.make(Broken)
    ran = policy_bench.run(broken)
    assert ran.failed is not None
    assert ran.refused is None
    assert policy_bench.run(Link(broken, "b", on_error="skip"), answer="x").text == "x"


def test_limits_count_and_time_moves_when_told(policy_bench: PolicyBench) -> None:
    limit = policy_bench.make(Ratelimit, rules=[{"per": "key", "requests": 1}])
    assert policy_bench.run(limit).error is None
    assert policy_bench.run(limit).refused is not None
    assert policy_bench.run(limit, call=policy_call(key="other")).error is None
    policy_bench.clock.now += 62
    assert policy_bench.run(limit).error is None


def test_prices_and_what_was_spent_before_are_the_tests_own(policy_bench: PolicyBench) -> None:
    policy_bench.priced(Prices({"m": Price(1_000_000, 1_000_000)}))
    ledger = policy_bench.spent(Spent(cost=9_999_999))
    budget = policy_bench.make(Budget, rules=[{"per": "team", "money": 10}])
    assert policy_bench.run(budget).refused is not None
    assert ledger.asked[0]["team"] == "ide"
