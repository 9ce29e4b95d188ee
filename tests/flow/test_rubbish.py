"""Whatever a policy does wrong, at any moment, plain or streaming: the call is refused, or goes on
without it where its link says so, and what it held comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.call import Call, Outcome
from gateway.domain.counters import Claim, CountersUnavailable, Window
from gateway.domain.policy import Delta, Link, Policy
from gateway.testing.policy_bench import PolicyBench, policy_call

Wrong = Callable[..., Any]


async def _raises(*_: object) -> None:
    raise KeyError("canary")


async def _raises_later(*_: object) -> None:
    await asyncio.sleep(0)
    raise RuntimeError("canary")


async def _hangs(*_: object) -> None:
    await asyncio.Event().wait()


async def _exits(*_: object) -> None:
    raise asyncio.CancelledError


async def _blocks(*_: object) -> Delta:
    time.sleep(0.08)  # noqa: ASYNC251 - it halts everybody, which nobody can prevent
    return Delta("late")


async def _away(*_: object) -> None:
    raise CountersUnavailable(detail="no Redis")


ANYWHERE = [_raises, _raises_later, _hangs, _exits, _blocks, _away]


def _returning(what: object) -> Wrong:
    async def returns(call: Call, delta: Delta) -> Any:
        return replace(delta, **what) if isinstance(what, dict) else what

    return returns


RUBBISH = [
    *(_returning(one) for one in (None, "text", 5, {"text": None}, {"text": b"x"})),
    *(_returning({"hold": one}) for one in ("1", 1.5, True)),
    _returning({"text": "\ud800"}),
]


def _leaving(change: Callable[[Call], object]) -> Wrong:
    async def breaks(call: Call) -> None:
        change(call)

    return breaks


def _loop(call: Call) -> None:
    call.body["messages"] = call.body["self"] = [call.body]


BROKEN = [
    _leaving(lambda call: setattr(call, "body", None)),
    _leaving(lambda call: setattr(call, "body", [1])),
    _leaving(lambda call: setattr(call, "model", 5)),
    _leaving(lambda call: call.body.update(x=object())),
    _leaving(lambda call: call.body["messages"][0].update(content={1, 2})),
    _leaving(lambda call: call.body.update(x="\ud800")),
    _leaving(lambda call: call.body.update({5: 1, (1,): 2})),
    _leaving(_loop),
    _leaving(lambda call: call.reply_headers.update(x=5)),  # type: ignore[dict-item]
]


def named(*groups: list[Wrong]) -> list[Any]:
    every = [wrong for group in groups for wrong in group]
    return [pytest.param(one, id=f"{one.__name__}{at}") for at, one in enumerate(every)]


def policy(bench: PolicyBench, **moments: Wrong) -> Policy:
    methods = {name: staticmethod(wrong) for name, wrong in moments.items()}
    return bench.make(type("Wrong", (Policy,), methods))


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("wrong", named(ANYWHERE, BROKEN))
async def test_before(wrong: Wrong, stream: bool) -> None:
    bench = PolicyBench()
    link = Link(policy(bench, before=wrong), "wrong", budget_s=0.05)
    ran = await bench.walk(link, call=policy_call(stream=stream), answer="hello")
    assert ran.failed is not None
    assert (ran.failed.status, ran.text) == (503, "")
    assert "canary" not in f"{ran.failed.detail}{ran.failed.public}"
    skipped = await bench.walk(
        replace(link, on_error="skip"), call=policy_call(stream=stream), answer="hello"
    )
    assert (skipped.error, skipped.text) == (None, "hello")
    as_it_was = policy_call(stream=stream)
    assert (skipped.call.body, skipped.call.model) == (as_it_was.body, as_it_was.model)
    assert skipped.call.reply_headers == {}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("wrong", named(ANYWHERE, RUBBISH))
async def test_during(wrong: Wrong, stream: bool) -> None:
    bench = PolicyBench()
    link = Link(policy(bench, during=wrong), "wrong", budget_s=0.05)
    ran = await bench.walk(link, call=policy_call(stream=stream), answer="hello", pieces=2)
    assert ran.failed is not None
    assert ran.text == "", "nothing leaves that was not let go"
    skipped = await bench.walk(
        replace(link, on_error="skip"), call=policy_call(stream=stream), answer="hello", pieces=2
    )
    assert (skipped.error, skipped.text) == (None, "hello")


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("wrong", ANYWHERE)
async def test_after(wrong: Wrong, stream: bool) -> None:
    bench, ended = PolicyBench(), list[Outcome]()

    class Hears(Policy):
        async def after(self, call: Call, outcome: Outcome) -> None:
            ended.append(outcome)

    link = Link(policy(bench, after=wrong), "wrong", budget_s=0.05)
    hears = bench.make(Hears)
    ran = await bench.walk(hears, link, call=policy_call(stream=stream), answer="hello")
    assert (ran.error, ran.text, len(ended)) == (None, "hello", 1)
    assert ("wrong", "skipped") in ran.verdicts


async def test_counters_that_are_away_are_told_apart_from_a_crash() -> None:
    bench = PolicyBench()
    ran = await bench.walk(policy(bench, before=_away))
    assert ran.failed is not None
    assert (ran.failed.code, ran.failed.retry_after) == ("counters_unavailable", 1.0)


async def test_what_a_policy_held_when_it_broke_comes_back() -> None:
    class Holds(Policy):
        async def before(self, call: Call) -> None:
            claims = [Claim("a", 5, 9, Window(0, 1, 60.0))]
            await self.tools.reserve(call, claims, lambda outcome: {"a": 1})
            raise ValueError

    bench = PolicyBench()
    for on_error in ("refuse", "skip"):
        await bench.walk(Link(bench.make(Holds), "h", on_error=on_error))  # type: ignore[arg-type]
    assert bench.counters.held["a"] == 0
    assert bench.counters.used("a") == 2


async def test_each_verdict_is_a_line_of_the_log_where_that_is_asked_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from gateway.flow.guard import Guard

    bench, call = PolicyBench(), policy_call("canary")

    async def fine(call: Call, *_: object) -> None:
        return None

    guard = Guard([Link(policy(bench, before=fine, after=fine), "p")], trace=True)
    with caplog.at_level("INFO", "gateway.guard"):
        await guard.before(call)
        await guard.after(call, Outcome())
    told = [record.__dict__["fields"] for record in caplog.records]
    assert [(one["moment"], one["verdict"]) for one in told] == [
        ("before", "allowed"),
        ("after", "allowed"),
    ]
    assert "canary" not in repr(told)
