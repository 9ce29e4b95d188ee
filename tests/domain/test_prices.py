"""What tokens cost, to the micro-unit."""

from __future__ import annotations

import pytest

from gateway.domain.call import Usage
from gateway.domain.prices import Price, Prices

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
