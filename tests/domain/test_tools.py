"""Tools.reserve holds for a call, settles at its end, and takes nothing for a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.domain.call import Outcome, OutcomeKind
from gateway.domain.counters import Balance, Claim, CountersUnavailable, Full, Window
from gateway.domain.errors import GatewayError
from gateway.domain.fixed import FixedCounters
from gateway.domain.tools import Tools
from gateway.testing.fakes import a_call

WINDOW = Window(0, 1, 60.0)


def used(outcome: Outcome) -> Mapping[str, int]:
    return {"a": 3} if outcome.kind is OutcomeKind.COMPLETED else {}


def counters(tools: Tools) -> FixedCounters:
    assert isinstance(tools.counters, FixedCounters)
    return tools.counters


@pytest.mark.parametrize(("kind", "left"), [(OutcomeKind.COMPLETED, 3), (OutcomeKind.FAILED, 0)])
async def test_what_is_held_settles_when_the_call_ends(kind: OutcomeKind, left: int) -> None:
    tools, call = Tools.fixed(), a_call()
    heard: list[Mapping[str, Balance]] = []

    async def told(balances: Mapping[str, Balance]) -> None:
        heard.append(balances)

    await tools.reserve(call, [Claim("a", 5, 5, WINDOW)], used, told)
    assert counters(tools).held["a"] == 5
    await call.holds.release(Outcome(kind))
    assert counters(tools).held["a"] == 0
    assert [one["a"].used for one in heard] == [left]


@pytest.mark.parametrize("rubbish", [None, {"a": "many"}, {"a": None}, {"a": float("nan")}])
async def test_what_a_policy_cannot_tell_settles_on_what_it_claimed(rubbish: Any) -> None:
    tools, call = Tools.fixed(), a_call()
    await tools.reserve(
        call, [Claim("a", 2, 5, WINDOW), Claim("b", 1, 5, WINDOW)], lambda _: rubbish
    )
    await call.holds.release(Outcome(OutcomeKind.COMPLETED))
    assert (counters(tools).held["a"], counters(tools).held["b"]) == (0, 0)
    assert (counters(tools).used("a"), counters(tools).used("b")) == (2, 1)


async def test_a_rehearsal_sees_the_same_and_takes_nothing() -> None:
    async def seed() -> int:
        return 4

    tools, call = Tools.fixed(), a_call()
    call.rehearsal = True
    claim = Claim("a", 1, 5, WINDOW, seed)
    held = await tools.reserve(call, [claim], used)
    assert held is not None
    assert held.balances["a"].used == 4
    assert await held.settle({"a": 1}) == held.balances
    with pytest.raises(Full):
        await tools.reserve(call, [Claim("a", 2, 5, WINDOW, seed)], used)
    assert (len(call.holds), counters(tools).claims) == (0, [])


async def test_while_nobody_can_tell_a_call_is_refused_or_let_through_as_was_said() -> None:
    tools, call = Tools.fixed(), a_call()
    counters(tools).away = True
    claims = [Claim("a", 1, 5, WINDOW)]
    with pytest.raises(CountersUnavailable):
        await tools.reserve(call, claims, used)
    assert await tools.reserve(call, claims, used, when_unavailable="allow") is None
    assert not call.holds


async def test_a_ledger_that_is_gone_is_as_counters_that_are() -> None:
    async def seed() -> int:
        raise GatewayError(detail="no database")

    tools, call = Tools.fixed(), a_call()
    call.rehearsal = True
    with pytest.raises(CountersUnavailable):
        await tools.reserve(call, [Claim("a", 1, 5, WINDOW, seed)], used)


async def test_a_mark_is_set_once_in_a_window() -> None:
    tools = Tools.fixed()
    later = Window(9, 1, 60.0)
    assert [await tools.once("m", w) for w in (WINDOW, WINDOW, later)] == [True, False, True]
    counters(tools).away = True
    assert not await tools.once("other", WINDOW)
