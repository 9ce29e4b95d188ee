"""Section prices: what may be written there."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.settings.prices import Prices


def test_a_price_has_three_parts_of_which_none_must_be_said() -> None:
    price = Prices(models={"m": {"input_per_million": 3}}).models["m"]  # type: ignore[dict-item]
    assert price.input_per_million == 3
    assert price.output_per_million == 0
    assert price.cached_per_million is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": {"m": {"input_per_million": -1}}},
        {"models": {"m": {"input_per_million": float("nan")}}},
        {"models": {"m": {"input_per_million": 1e9}}},
        {"models": {"m": {"input_per_token": 1}}},
        {"currency": "dollars"},
    ],
)
def test_what_is_no_price_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Prices(**wrong)
