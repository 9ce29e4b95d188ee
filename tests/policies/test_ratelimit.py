"""The ratelimit policy: never more than so many in any stretch, and what clients hear of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import Call, Outcome
from gateway.domain.call import OutcomeKind
from gateway.domain.counters import CountersUnavailable
from gateway.domain.fixed import FixedCounters
from policies.ratelimit import Ratelimit, duration
from tests.policies.counting import Bench, call, done, ended, refusal


def limited(bench: Bench, *rules: dict[str, Any], **settings: Any) -> Ratelimit:
    return bench.make(Ratelimit, rules=rules, **settings)


def left(one: Call, unit: str = "requests") -> str:
    return one.reply_headers[f"x-ratelimit-remaining-{unit}"]


async def test_the_call_after_the_last_is_refused_as_openai_does_it() -> None:
    bench = Bench()
    policy = limited(bench, {"per": "key", "requests": 2})
    assert left(await ended(policy, call())) == "1"
    bench.clock.now += 20
    assert left(await ended(policy, call())) == "0"
    one = call()
    error = await refusal(policy, one)
    assert (error.status, error.code, error.type) == (429, "rate_limit_exceeded", "requests")
    assert error.public.startswith("Rate limit reached: 2 requests a minute for each key; 2 are")
    assert one.reply_headers == {
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "41s",
    }
    assert bench.heard.limited == [("ratelimit", "key")]


async def test_retry_after_is_true_to_the_second() -> None:
    bench = Bench()
    policy = limited(bench, {"per": "key", "requests": 1})
    await ended(policy, call())
    bench.clock.now += 13.3
    wait = (await refusal(policy, call())).retry_after
    assert wait is not None
    bench.clock.now += wait - 1.001
    await refusal(policy, call())
    bench.clock.now += 1.001
    await ended(policy, call())


@pytest.mark.parametrize("per", ["key", "team", "model", ["team", "model"], "user", []])
async def test_each_key_team_model_or_pair_has_its_own(per: Any) -> None:
    bench = Bench()
    policy = limited(bench, {"per": per, "requests": 1})
    await ended(policy, call("a", "k1", "m1"))
    await refusal(policy, call("a", "k1", "m1"))
    if per:
        await ended(policy, call("b", "k2", "m2"))
    else:
        await refusal(policy, call("b", "k2", "m2"))


async def test_several_rules_must_all_hold_and_clients_hear_of_the_nearest() -> None:
    bench = Bench()
    policy = limited(
        bench,
        {"per": "team", "requests": {"ide": 100, "default": 20}},
        {"per": "key", "requests": 3},
    )
    one = call()
    await policy.before(one)
    assert (left(one), one.reply_headers["x-ratelimit-limit-requests"]) == ("2", "3")
    day = limited(bench, {"per": "key", "requests": 2, "every": "day"})
    await day.before(one)
    assert (left(one), one.reply_headers["x-ratelimit-limit-requests"]) == ("1", "2")


async def test_what_one_rule_refuses_no_other_has_taken() -> None:
    bench = Bench()
    policy = limited(
        bench,
        {"per": "key", "requests": 1},
        {"per": "team", "requests": 2},
        {"per": "team", "requests": 3, "every": "day"},
    )
    await ended(policy, call(key="k1"))
    for _ in range(5):
        await refusal(policy, call(key="k1"))
    await ended(policy, call(key="k2"))


async def test_tokens_are_reserved_and_become_those_that_were_used() -> None:
    bench = Bench()
    policy = limited(bench, {"per": "key", "tokens": 1000})
    first = call(max_tokens=900)
    await policy.before(first)
    error = await refusal(policy, call(max_tokens=200))
    assert (error.type, error.code) == ("tokens", "rate_limit_exceeded")
    await first.holds.release(done(10, 90))
    second = await ended(policy, call(max_tokens=500), done(10, 10))
    assert int(left(second, "tokens")) == 1000 - 100 - 506
    assert second.reply_headers["x-ratelimit-limit-tokens"] == "1000"


async def test_a_request_that_names_no_limit_reserves_the_usual() -> None:
    one = await ended(limited(Bench(), {"tokens": 5000}, answer_tokens=3000), call())
    assert left(one, "tokens") == str(5000 - 3006)


async def test_what_never_fits_is_said_so_and_not_to_be_tried_again() -> None:
    one = call(max_tokens=2000)
    error = await refusal(limited(Bench(), {"tokens": 1000}), one)
    assert "It never fits" in error.public
    assert (error.retry_after, one.reply_headers["x-should-retry"]) == (None, "false")


async def test_a_call_that_another_policy_refuses_gives_everything_back() -> None:
    policy = limited(Bench(), {"requests": 1, "tokens": 2000})
    await ended(policy, call(), Outcome(OutcomeKind.REFUSED, 403))
    await ended(policy, call(), Outcome(OutcomeKind.FAILED, 503))
    await refusal(policy, call())


async def test_names_without_a_limit_are_not_limited() -> None:
    policy = limited(Bench(), {"per": "team", "requests": {"ide": None, "default": 0}})
    one = await ended(policy, call("ide"))
    assert one.reply_headers == {}
    await refusal(policy, call("ops"))


async def test_a_rehearsal_is_told_the_same_and_takes_nothing() -> None:
    policy = limited(Bench(), {"requests": 1})
    for _ in range(3):
        one = call()
        one.rehearsal = True
        assert left(await ended(policy, one)) == "1"


async def test_a_long_call_counts_no_more_once_its_window_is_over() -> None:
    policy = limited(Bench(), {"requests": 1, "tokens": 3000, "every": "second"})
    long = call()
    await policy.before(long)
    await refusal(policy, call())
    async with asyncio.timeout(10):
        while policy._leaving or await _full(policy):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    await long.holds.release(done(900, 2000))
    assert not policy._leaving


async def _full(policy: Ratelimit) -> bool:
    # The bench's clock stands still, so that only what is held can have changed.
    (account,) = [name for name in policy.tools.counters._accounts if "requests" in name]  # type: ignore[attr-defined]
    return bool(policy.tools.counters._accounts[account].held)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("when", "refused"), [("allow", False), ("refuse", True)])
async def test_while_counters_are_away_calls_pass_or_not_as_was_said(
    when: str, refused: bool
) -> None:
    counters = FixedCounters()
    counters.away = True
    policy = limited(Bench(counters=counters), {"requests": 1}, when_unavailable=when)
    if refused:
        with pytest.raises(CountersUnavailable):
            await policy.before(call())
    else:
        await ended(policy, call())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["end", "hold", "refuse"])), max_size=40
    ),
    limit=st.integers(1, 5),
)
def test_no_minute_ever_sees_more_than_the_limit(
    steps: list[tuple[float, str]], limit: int
) -> None:
    asyncio.run(_walk(steps, limit))


async def _walk(steps: list[tuple[float, str]], limit: int) -> None:
    bench = Bench()
    policy = limited(bench, {"requests": limit})
    admitted: list[float] = []
    held: list[Call] = []
    for wait, what in steps:
        bench.clock.now += wait
        one = call()
        try:
            await policy.before(one)
        except Exception:
            continue
        if what == "refuse":
            await one.holds.release(Outcome(OutcomeKind.REFUSED, 403))
            continue
        admitted.append(bench.clock.now)
        held.append(one)
        if what == "end":
            await held.pop(0).holds.release(done())
    for one in held:
        await one.holds.release(done())
    for at in admitted:
        assert sum(at - 60 < other <= at for other in admitted) <= limit


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0171, "18ms"), (1, "1s"), (59.2, "1m0s"), (360, "6m0s"), (3601, "1h0m1s")],
)
def test_lengths_of_time_are_written_as_openai_does(seconds: float, text: str) -> None:
    assert duration(seconds) == text
