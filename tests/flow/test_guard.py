"""The chain before and after a call: order, scope, failure, shadow, verdicts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from gateway.domain.call import Call, Caller, Outcome
from gateway.domain.endpoints import CHAT, EMBEDDINGS, Endpoint
from gateway.domain.errors import Refusal
from gateway.domain.policy import Delta, Link, Policy, PolicyFailed, Tools, Verdict, When
from gateway.flow.guard import Guard


def a_call(model: str = "m", endpoint: Endpoint = CHAT, call_id: str = "c1") -> Call:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    return Call(call_id, endpoint, model, body, 0.0, 60.0, caller=Caller(team="ide"))


class Walked(Policy):
    """Writes down which of its moments are run; `act` is what `before` does."""

    def __init__(
        self, name: str, diary: list[str], act: Callable[[Call], object] = lambda call: None
    ) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self.name, self.diary, self.act = name, diary, act

    async def before(self, call: Call) -> None:
        self.diary.append(f"before {self.name}")
        self.act(call)

    async def after(self, call: Call, outcome: Outcome) -> None:
        self.diary.append(f"after {self.name}")


class Settling(Policy):
    """Only hears of the end, and may break there."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self.error, self.outcomes = error, list[Outcome]()

    async def after(self, call: Call, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self.error:
            raise self.error


class Watching(Policy):
    async def during(self, call: Call, delta: Delta) -> Delta:
        return delta


class Hanging(Policy):
    async def before(self, call: Call) -> None:
        call.body["half"] = "done"
        await asyncio.Event().wait()


def plain(kind: type[Policy]) -> Policy:
    return kind(Policy.Settings(), Tools.fixed())


def refuse(call: Call) -> None:
    raise Refusal("not tonight", status=418)


def crash(call: Call) -> None:
    call.body["half"] = "done"
    call.model = "elsewhere"
    raise ValueError("quotes the call")


class Verdicts:
    """Hears verdicts; the clock ticks once each time it is read."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []
        self.seconds: list[float] = []
        self.time = 0.0

    def __call__(self, call: Call, policy: str, verdict: Verdict, seconds: float) -> None:
        self.told.append((call.id, policy, verdict.value))
        self.seconds.append(seconds)

    def clock(self) -> float:
        self.time += 1.0
        return self.time

    def guard(self, *chain: Link) -> Guard:
        return Guard(chain, on_verdict=self, clock=self.clock)


async def test_policies_run_in_order_and_settle_in_reverse() -> None:
    diary: list[str] = []
    guard, call = Guard([Link(Walked(name, diary), name) for name in "abc"]), a_call()
    await guard.before(call)
    await guard.after(call, Outcome())
    assert diary == ["before a", "before b", "before c", "after c", "after b", "after a"]


async def test_each_policy_sees_what_the_one_before_it_wrote() -> None:
    seen: list[object] = []
    first = Walked("a", [], lambda call: call.body.update(temperature=0))
    second = Walked("b", [], lambda call: seen.append(call.body["temperature"]))
    call = a_call()
    await Guard([Link(first, "a"), Link(second, "b")]).before(call)
    assert seen == [0]
    assert call.body["temperature"] == 0


async def test_a_refusal_ends_the_walk_and_names_its_policy_only_to_the_log() -> None:
    diary: list[str] = []
    chain = [
        Link(Walked("a", diary), "a"),
        Link(Walked("b", diary, refuse), "b"),
        Link(Walked("c", diary), "c"),
    ]
    guard, call = Guard(chain), a_call()
    with pytest.raises(Refusal) as refusal:
        await guard.before(call)
    assert (refusal.value.status, refusal.value.public) == (418, "not tonight")
    assert refusal.value.detail == "policy b: not tonight"
    await guard.after(call, Outcome())
    assert diary == ["before a", "before b", "after b", "after a"], "c was never reached"


async def test_after_runs_once_and_only_for_calls_that_were_let_in() -> None:
    settling = Settling()
    guard, call = Guard([Link(settling, "s")]), a_call()
    await guard.after(call, Outcome())
    assert settling.outcomes == []
    await guard.before(call)
    outcome = Outcome(status=200)
    await guard.after(call, outcome)
    await guard.after(call, Outcome())
    assert settling.outcomes == [outcome]


async def test_two_calls_of_one_id_are_two_calls() -> None:
    settling = Settling()
    guard = Guard([Link(settling, "s", When(models=("m",)))])
    one, other = a_call(call_id="same"), a_call(call_id="same")
    await guard.before(one)
    await guard.before(other)
    await guard.after(one, Outcome())
    await guard.after(other, Outcome())
    assert len(settling.outcomes) == 2


async def test_a_policy_that_is_not_for_this_call_is_not_run_at_all() -> None:
    diary: list[str] = []
    chain = [Link(Walked("a", diary, refuse), "a", When(models=("other",)))]
    guard, call = Guard(chain), a_call()
    await guard.before(call)
    await guard.after(call, Outcome())
    assert diary == []


async def test_a_crash_refuses_with_503_and_a_text_that_tells_nothing() -> None:
    told = Verdicts()
    guard = told.guard(Link(Walked("a", [], crash), "night"))
    with pytest.raises(PolicyFailed) as failed:
        await guard.before(a_call())
    assert failed.value.status == 503
    assert failed.value.body()["error"]["code"] == "policy_failed"
    assert "night" not in failed.value.public
    assert "quotes" not in failed.value.detail
    assert told.told == [("c1", "night", "failed")]


async def test_a_crash_may_be_passed_over_and_leaves_no_half_made_edit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told, diary, call = Verdicts(), list[str](), a_call()
    guard = told.guard(
        Link(Walked("a", diary, crash), "night", on_error="skip"), Link(Walked("b", diary), "b")
    )
    with caplog.at_level(logging.WARNING, "gateway.guard"):
        await guard.before(call)
    assert diary == ["before a", "before b"]
    assert (call.body, call.model) == (a_call().body, "m")
    assert told.told == [("c1", "night", "skipped"), ("c1", "b", "allowed")]
    assert "policy night: ValueError at test_guard.py" in caplog.text
    assert "quotes" not in caplog.text


async def test_an_edit_of_a_policy_that_may_be_skipped_stays_when_it_works() -> None:
    def move(call: Call) -> None:
        call.model = "bigger"
        call.body["messages"][0]["content"] = "edited"

    call = a_call()
    await Guard([Link(Walked("a", [], move), "a", on_error="skip")]).before(call)
    assert call.model == "bigger"
    assert call.body["messages"][0]["content"] == "edited"


async def test_a_policy_that_takes_too_long_fails_like_one_that_crashes() -> None:
    call = a_call()
    with pytest.raises(PolicyFailed, match="not done after"):
        await Guard([Link(plain(Hanging), "h", budget_s=0.01)]).before(call)
    call = a_call()
    await Guard([Link(plain(Hanging), "h", on_error="skip", budget_s=0.01)]).before(call)
    assert call.body == a_call().body


def untouched(call: Call) -> bool:
    """Whether every field is as it was when the call came in; what it holds and where it has been
    are its own."""
    names = {one.name for one in fields(Call)} - {"holds", "away"}
    return all(getattr(call, name) == getattr(a_call(), name) for name in names)


@pytest.mark.parametrize(("act", "verdict"), [(refuse, "would_refuse"), (crash, "skipped")])
async def test_a_shadow_is_heard_and_not_obeyed(act: Callable[[Call], None], verdict: str) -> None:
    told, call = Verdicts(), a_call()
    await told.guard(Link(Walked("a", [], act), "a", mode="shadow")).before(call)
    assert untouched(call)
    assert told.told == [("c1", "a", verdict)]


async def test_a_shadows_edits_are_dropped_even_deep_in_the_body() -> None:
    def edit(call: Call) -> None:
        call.body["messages"][0]["content"] = "edited"
        call.model = "elsewhere"

    call = a_call()
    await Guard([Link(Walked("a", [], edit), "a", mode="shadow")]).before(call)
    assert untouched(call)


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
async def test_a_policy_meets_one_and_the_same_call_at_all_its_moments(mode: Any) -> None:
    met: list[Call] = []

    class Keyed(Policy):
        async def before(self, call: Call) -> None:
            met.append(call)

        async def after(self, call: Call, outcome: Outcome) -> None:
            met.append(call)

    call = a_call()
    guard = Guard([Link(plain(Keyed), "k", on_error="skip", mode=mode)])
    await guard.before(call)
    await guard.after(call, Outcome())
    assert len(met) == 2
    assert all(one is call for one in met), "else what is keyed by it would never be dropped"


async def test_a_verdict_comes_with_the_seconds_that_it_took() -> None:
    told = Verdicts()
    await told.guard(Link(Walked("a", []), "a"), Link(plain(Watching), "w")).before(a_call())
    assert told.told == [("c1", "a", "allowed")], "w has no say before"
    assert told.seconds == [1.0]


@pytest.mark.parametrize("error", [ValueError("quotes the call"), Refusal("too late")])
async def test_what_breaks_in_after_is_logged_and_the_others_still_hear(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    told, first, last = Verdicts(), Settling(), Settling(error)
    guard, call = told.guard(Link(first, "first"), Link(last, "last")), a_call()
    await guard.before(call)
    await guard.after(call, Outcome())
    assert len(first.outcomes) == len(last.outcomes) == 1
    assert told.told == [("c1", "last", "skipped")]
    assert "policy last" in caplog.text
    assert "quotes" not in caplog.text


async def test_a_client_that_leaves_in_before_is_settled_for_those_it_had_reached() -> None:
    settling = Settling()
    chain = [Link(settling, "s"), Link(plain(Hanging), "h", budget_s=30.0)]
    guard, call = Guard(chain), a_call()
    task = asyncio.create_task(guard.before(call))
    await asyncio.sleep(0)
    assert call.body["half"] == "done", "it hangs in the second policy now"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await guard.after(call, Outcome())
    assert len(settling.outcomes) == 1


def test_an_answer_is_watched_only_where_a_policy_for_this_call_looks_at_answers() -> None:
    diary: list[str] = []
    guard = Guard([Link(Walked("a", diary), "a"), Link(plain(Watching), "w", When(models=("m",)))])
    assert guard.watches(a_call("m"))
    assert not guard.watches(a_call("other"))
    assert not guard.watches(a_call("m", EMBEDDINGS)), "numbers have no text"
    assert not Guard([Link(Walked("a", diary), "a")]).watches(a_call("m"))
    assert not Guard([]).watches(a_call("m"))
