"""The counters that a policy under test gets are as strict as real ones."""

from __future__ import annotations

import pytest

from gateway.domain.counters import Claim, CountersUnavailable, Full, Window
from gateway.domain.fixed import FixedCounters, Heard

WINDOW = Window(7, 1, 60.0)


async def test_what_is_held_becomes_what_was_used_once() -> None:
    counters = FixedCounters()
    held = await counters.claim([Claim("a", 5, 10, WINDOW)])
    assert held.balances["a"].held == 5
    await held.settle({"a": 3})
    await held.settle({"a": 9})
    balance = await counters.balance("a", 10, WINDOW)
    assert (balance.used, balance.held, balance.remaining) == (3, 0, 7)
    assert (await counters.balance("a", 10, Window(9, 1, 60.0))).used == 0


async def test_all_claims_fit_or_nothing_is_taken() -> None:
    counters = FixedCounters()
    with pytest.raises(Full):
        await counters.claim([Claim("a", 1, 10, WINDOW), Claim("b", 11, 10, WINDOW)])
    assert (await counters.balance("a", 10, WINDOW)).held == 0


async def test_a_seed_is_asked_where_nothing_is_known() -> None:
    async def seed() -> int:
        return 8

    counters = FixedCounters()
    claim = Claim("a", 1, 10, WINDOW, seed)
    await counters.claim([claim])
    await counters.claim([claim])
    with pytest.raises(Full):
        await counters.claim([claim])


async def test_they_can_be_away() -> None:
    counters = FixedCounters()
    counters.away = True
    with pytest.raises(CountersUnavailable):
        await counters.claim([])
    with pytest.raises(CountersUnavailable):
        await counters.balance("a", None, WINDOW)


def test_what_is_told_is_heard() -> None:
    heard = Heard()
    heard.put("gateway", "x", "y", {"n": 1})
    heard.rate_limited("p", "key")
    heard.budget_used("ide", "p", 0.5)
    heard.budget_alert("p", 80)
    assert heard.events == [("gateway", "x", "y", {"n": 1})]
    assert (heard.limited, heard.used, heard.alerts) == (
        [("p", "key")],
        {("ide", "p"): 0.5},
        [("p", 80)],
    )
