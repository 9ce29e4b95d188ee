"""The budget policy: never overspent, told of in time, and known again after a restart."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import Call, Outcome, Refusal, Usage
from gateway.domain.call import OutcomeKind
from gateway.domain.counters import CountersUnavailable
from gateway.domain.fixed import Alone, FixedCounters
from gateway.domain.ledger import Spent
from gateway.domain.prices import Price, Prices
from policies.budget import Budget
from tests.policies.counting import Bench, call, done, ended, refusal

MARCH = datetime(2026, 3, 4, 12, tzinfo=UTC).timestamp()
# One for a thousand tokens of a prompt, two for a thousand of an answer.
PRICES = Prices({"m": Price(1_000_000_000, 2_000_000_000, 0), "onprem": Price()})


def budget(bench: Bench, *rules: dict[str, Any], **settings: Any) -> Budget:
    return bench.make(Budget, rules=rules, **settings)


def priced(now: float = MARCH, **tools: Any) -> Bench:
    return Bench(now, prices=PRICES, **tools)


async def test_money_is_reserved_and_settles_on_what_a_call_did_cost() -> None:
    bench = priced()
    policy = budget(bench, {"per": "team", "money": 10})
    first = call(max_tokens=4000)
    await policy.before(first)
    one = call(max_tokens=2000)
    error = await refusal(policy, one)
    assert (error.status, error.code, error.type) == (
        429,
        "insufficient_quota",
        "insufficient_quota",
    )
    assert "1.994 of 10.0 money are left, and this call may take 4.006" in error.public
    assert one.reply_headers["x-should-retry"] == "false"
    await first.holds.release(done(1000, 500))
    assert bench.heard.used["ide", "budget"] == 0.2
    await ended(policy, call(max_tokens=3900))


async def test_an_answer_without_a_bound_may_fill_the_window_and_that_is_reserved() -> None:
    bench = priced(reach=Alone(4096))
    policy = budget(bench, {"per": "key", "tokens": 10_000})
    first, second = call(), call()
    await policy.before(first)
    await policy.before(second)
    error = await refusal(policy, call())
    assert "Name max_tokens to ask for less." in error.public
    await ended(policy, call(max_tokens=1000))
    assert "max_tokens" not in (await refusal(policy, call(max_tokens=5000))).public
    for one in (first, second):
        await one.holds.release(done(10, 4086))
    assert "1798 of 10000 tokens" in (await refusal(policy, call(max_tokens=5000))).public


async def test_a_call_that_may_fall_back_reserves_the_dearest_and_pays_for_who_answered() -> None:
    class Table(Alone):
        def models(self, model: str) -> tuple[str, ...]:
            return (model, "dear")

    prices = Prices({"m": Price(0, 1_000_000_000), "dear": Price(0, 5_000_000_000)})
    bench = Bench(MARCH, prices=prices, reach=Table())
    policy = budget(bench, {"per": "team", "money": 10})
    await refusal(policy, call(max_tokens=2001))
    cheap, dear = call(max_tokens=1000), call(max_tokens=1000)
    await policy.before(cheap)
    await policy.before(dear)
    await cheap.holds.release(replace(done(0, 1000), model="m"))
    assert bench.heard.used["ide", "budget"] == 0.1
    await dear.holds.release(replace(done(0, 1000), model="dear"))
    assert bench.heard.used["ide", "budget"] == 0.6


async def test_tokens_are_the_budget_of_models_that_cost_nothing() -> None:
    policy = budget(priced(), {"per": "key", "tokens": 2_000, "every": "day"})
    await ended(policy, call(model="onprem", max_tokens=1500), done(500, 1000))
    assert "500 of 2000 tokens" in (await refusal(policy, call(max_tokens=1000))).public


@pytest.mark.parametrize(
    ("every", "zone", "over"),
    [
        ("day", "UTC", datetime(2026, 3, 5, tzinfo=UTC)),
        ("week", "UTC", datetime(2026, 3, 9, tzinfo=UTC)),
        ("month", "Asia/Seoul", datetime(2026, 4, 1, tzinfo=ZoneInfo("Asia/Seoul"))),
    ],
)
async def test_it_begins_anew_at_midnight_of_its_zone(
    every: str, zone: str, over: datetime
) -> None:
    bench = priced()
    policy = budget(bench, {"per": "key", "tokens": 20, "every": every}, timezone=zone)
    await ended(policy, call(max_tokens=1), done(10, 10))
    error = await refusal(policy, call(max_tokens=1))
    assert error.retry_after == over.timestamp() - MARCH
    bench.clock.now = over.timestamp() - 1
    await refusal(policy, call(max_tokens=1))
    bench.clock.now = over.timestamp()
    await ended(policy, call(max_tokens=1))


async def test_a_soft_budget_refuses_nobody_and_tells(caplog: pytest.LogCaptureFixture) -> None:
    bench = priced()
    policy = budget(bench, {"per": "team", "tokens": 100, "hard": False})
    with caplog.at_level(logging.WARNING, "gateway.policies"):
        for _ in range(12):
            await ended(policy, call(), done(5, 5))
    assert bench.heard.alerts == [("budget", 80), ("budget", 100)]
    actor, action, target, facts = bench.heard.events[0]
    assert (actor, action, target) == ("gateway", "budget.alert", "team ide")
    assert facts == {
        "percent": 80,
        "unit": "tokens",
        "every": "month",
        "used": 80,
        "limit": 100,
        "policy": "budget",
    }
    assert caplog.messages == ["budget.alert"] * 2
    assert bench.heard.used["ide", "budget"] == 1.2


async def test_each_alert_comes_once_a_month_for_all_processes() -> None:
    bench = priced()
    first, second = (budget(bench, {"per": "team", "tokens": 100}) for _ in range(2))
    await ended(first, call(max_tokens=1), done(40, 50))
    await ended(second, call(max_tokens=1), done(1, 0))
    assert bench.heard.alerts == [("budget", 80)]
    bench.clock.now += 31 * 86400
    await ended(first, call(max_tokens=1), done(40, 50))
    assert bench.heard.alerts == [("budget", 80)] * 2


async def test_the_refusal_of_a_spent_budget_is_the_last_alert() -> None:
    bench = priced()
    policy = budget(bench, {"per": "team", "tokens": 100})
    await ended(policy, call(max_tokens=1), done(45, 50))
    await refusal(policy, call(max_tokens=50))
    await refusal(policy, call(max_tokens=50))
    assert bench.heard.alerts == [("budget", 80), ("budget", 100)]


async def test_one_call_that_asks_too_much_is_no_alert() -> None:
    bench = priced()
    await refusal(budget(bench, {"per": "team", "tokens": 100}), call(max_tokens=5000))
    assert bench.heard.alerts == []


@pytest.mark.parametrize("unpriced", ["refuse", "free"])
async def test_a_model_without_a_price_is_refused_or_costs_nothing(unpriced: str) -> None:
    policy = budget(priced(), {"per": "team", "money": 1}, unpriced=unpriced)
    (remark,) = policy.remarks(["m", "new"])
    assert "no price for new" in remark
    if unpriced == "free":
        await ended(policy, call(model="new", max_tokens=10_000))
    else:
        error = await refusal(policy, call(model="new"))
        assert (error.status, error.code) == (403, "model_not_priced")
    await ended(policy, call(model="onprem", max_tokens=10_000))
    assert list(policy.remarks(["m", "onprem"])) == []


class Known:
    """A ledger that knows, and what it was asked."""

    def __init__(self, spent: Spent) -> None:
        self.spending, self.asked = spent, list[dict[str, Any]]()

    async def spent(
        self, *, team: str = "", key_id: str = "", model: str = "", since: float
    ) -> Spent:
        self.asked.append({"team": team, "key_id": key_id, "model": model, "since": since})
        return self.spending


async def test_after_a_restart_the_ledger_says_what_was_used() -> None:
    ledger = Known(Spent(requests=3, tokens=90, cost=9_500_000))
    policy = budget(
        priced(ledger=ledger),
        {"per": ["team", "model"], "tokens": 100, "every": "day"},
        {"per": "key", "money": 10},
    )
    one = call(max_tokens=1)
    await policy.before(one)
    today, month = (datetime(2026, 3, day, tzinfo=UTC).timestamp() for day in (4, 1))
    assert ledger.asked == [
        {"team": "ide", "key_id": "", "model": "m", "since": today},
        {"team": "", "key_id": "k1", "model": "", "since": month},
    ]
    await one.holds.release(done(0, 0))
    await refusal(policy, call(max_tokens=300))
    assert len(ledger.asked) == 2


async def test_while_counters_are_away_calls_pass_or_not_as_was_said() -> None:
    counters = FixedCounters()
    counters.away = True
    bench = priced(counters=counters)
    await ended(budget(bench, {"tokens": 1}, when_unavailable="allow"), call())
    with pytest.raises(CountersUnavailable):
        await budget(bench, {"tokens": 1}).before(call())


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [{"per": "team"}]},
        {"rules": [{"money": 1, "tokens": 1}]},
        {"rules": [{"money": 1}], "timezone": "Mars/Olympus"},
        {"rules": [{"money": 1}, {"money": 2}]},
        {"rules": []},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget.Settings.model_validate(wrong)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["admit", "settle", "abort", "rehearse"]), st.integers(1, 40)),
        max_size=60,
    )
)
def test_whatever_the_order_of_events_the_sum_is_exact_and_never_passes(
    steps: list[tuple[str, int]],
) -> None:
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[str, int]]) -> None:
    bench, limit, used = priced(), 100, 0
    policy = budget(bench, {"per": "team", "tokens": limit}, alerts=())
    running: list[tuple[Call, int]] = []
    for what, tokens in steps:
        if what in ("admit", "rehearse"):
            one = call(messages=[], max_tokens=tokens)
            one.rehearsal = what == "rehearse"
            try:
                await policy.before(one)
            except Refusal:
                continue
            if what == "admit":
                running.append((one, tokens))
        elif running:
            one, most = running.pop(0)
            spent = min(tokens, most) if what == "settle" else 0
            outcome = done(0, spent) if what == "settle" else Outcome(OutcomeKind.CANCELLED)
            await one.holds.release(outcome)
            await one.holds.release(outcome)
            used += spent
        assert used + sum(most for _, most in running) <= limit
    for one, _ in running:
        await one.holds.release(Outcome(OutcomeKind.FAILED))
    known = bench.tools.counters._accounts.values()  # type: ignore[attr-defined]
    (account,) = tuple(known) or (None,)
    assert account is None or (account.used, account.held) == (used, 0)


def test_usage_is_priced_by_the_model_of_the_call() -> None:
    assert PRICES.cost("m", Usage(1000, 500)) == 2_000_000
