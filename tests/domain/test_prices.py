"""What tokens cost, to the micro-unit."""

from __future__ import annotations

import pytest

from gateway.domain.call import Outcome, Usage
from gateway.domain.prices import Price, Prices
from gateway.testing.fakes import a_call

PRICE = Price(prompt=3_000_000, completion=15_000_000, cached=300_000)


@pytest.mark.parametrize(
    ("usage", "cost"),
    [
        (Usage(), 0),
        (Usage(prompt=1), 3),
        (Usage(completion=1), 15),
        (Usage(prompt=10, completion=2), 60),
        (Usage(prompt=10, completion=2, cached=10), 33),
        (Usage(prompt=10, cached=4), 6 * 3 + 2),  # 1.2 is rounded up
        (Usage(prompt=10, cached=99), 3),
        (Usage(prompt=-5, completion=-5, cached=-5), 0),
    ],
)
def test_each_kind_of_token_has_its_price(usage: Usage, cost: int) -> None:
    assert PRICE.of(usage) == cost


def test_a_model_without_a_price_costs_nothing_and_says_so() -> None:
    prices = Prices({"paid": PRICE, "ours": Price()})
    assert prices.of("other") is None
    assert prices.cost("other", Usage(1000, 1000)) == 0
    assert prices.cost("paid", Usage(1000, 1000)) == 18_000
    assert not PRICE.free
    own = prices.of("ours")
    assert own is not None
    assert own.free


@pytest.mark.parametrize(
    ("answered", "paid"),
    [("", 1), ("m", 1), ("dear", 9), ("unpriced", 1)],
)
def test_a_call_pays_for_the_model_that_answered_it(answered: str, paid: int) -> None:
    prices = Prices({"m": Price(1_000_000), "dear": Price(9_000_000)})
    assert prices.charge(a_call(), Outcome(model=answered), Usage(1)) == paid


def test_an_alias_with_a_price_of_its_own_keeps_it() -> None:
    prices, call = Prices({"m": Price(1_000_000), "coder": Price(3_000_000)}), a_call()
    call.model, call.alias = "coder", ("coder", "m")
    assert prices.charge(call, Outcome(model="m"), Usage(1)) == 3


def test_the_dearest_of_several_is_what_a_call_may_cost() -> None:
    prices = Prices({"m": Price(1_000_000), "dear": Price(9_000_000)})
    assert prices.most(("m", "dear", "unpriced"), Usage(2)) == 18
    assert prices.most((), Usage(2)) == 0
