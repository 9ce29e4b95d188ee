"""The chain is read with a gateway's tools, shown line by line, and remarked upon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.chain import about_chain, lines_of, own_tools, read_chain
from gateway.domain.call import Outcome, OutcomeKind
from gateway.domain.errors import Refusal
from gateway.domain.prices import Price, Prices
from gateway.settings import Paths, PolicyEntry, Settings
from gateway.settings.policies import When
from gateway.testing.fakes import a_call

SHIPPED = Path(__file__).parents[1] / "policies"
BUDGET = {"rules": [{"per": "team", "money": 5}]}


def settings(*entries: PolicyEntry) -> Settings:
    return Settings(policies=entries, paths=Paths(policies_dir=SHIPPED))


def test_every_policy_gets_the_tools_of_its_gateway_and_a_name() -> None:
    tools = own_tools()
    entry = PolicyEntry(use="budget", settings=BUDGET)
    first, second = read_chain(settings(entry, entry), tools)
    assert first.policy.tools.counters is second.policy.tools.counters is tools.counters
    assert (first.policy.tools.name, second.policy.tools.name) == ("budget", "budget#2")


def test_a_line_says_where_a_policy_stands_and_for_whom() -> None:
    entry = PolicyEntry(
        use="budget", settings=BUDGET, when=When(teams=("ide",)), mode="shadow", budget_ms=200
    )
    (line,) = lines_of(read_chain(settings(entry), own_tools()))
    assert line == "1. budget  before  teams ide  shadow  on_error refuse  200 ms"
    assert "empty" in lines_of([])[0]


def test_models_without_a_price_are_remarked_upon_where_they_are_meant() -> None:
    tools = replace(own_tools(), prices=Prices({"m": Price(1, 1)}))
    entry = PolicyEntry(use="budget", settings=BUDGET, when=When(models=("m", "n*")))
    links = read_chain(settings(entry), tools)
    said = about_chain(links, ["m", "nova", "other"])
    assert said[0] == "policies: 1 (budget)"
    assert said[1].startswith("warning: policy budget: no price for nova:")
    assert about_chain(links, ["m", "other"]) == said[:1]


@pytest.mark.parametrize("limit", [2, 1])
async def test_a_reload_with_other_numbers_goes_on_with_what_was_counted(limit: int) -> None:
    def ratelimit(requests: int) -> Settings:
        rules = [{"per": "key", "requests": requests, "every": "day"}]
        return settings(PolicyEntry(use="ratelimit", settings={"rules": rules}))

    tools = own_tools()
    (before,) = read_chain(ratelimit(9), tools)
    await before.policy.before(call := a_call())
    await call.holds.release(Outcome(OutcomeKind.COMPLETED))
    (after,) = read_chain(ratelimit(limit), tools)
    if limit > 1:
        await after.policy.before(a_call())
    with pytest.raises(Refusal):
        await after.policy.before(a_call())
