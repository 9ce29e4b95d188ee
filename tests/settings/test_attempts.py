"""Settings of timeouts, retries and hedging: their defaults and their bounds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.settings.attempts import Hedging, Retries, Timeouts


def test_the_defaults_are_those_of_the_design() -> None:
    assert (Retries().limit, Retries().backoff_s) == (3, (1.0, 2.0, 3.0))
    assert (Retries().budget, Retries().floor) == (0.1, 3)
    assert Timeouts().total_s == 60


def test_nothing_is_hedged_unless_a_model_is_named() -> None:
    assert Hedging().models == ()
    assert (Hedging().budget, Hedging().min_samples) == (0.02, 20)


@pytest.mark.parametrize(
    "wrong", [{"budget": 1.1}, {"budget": -0.1}, {"floor": -1}, {"limit": 4}, {"backoff_s": ()}]
)
def test_retries_have_bounds(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Retries(**wrong)  # type: ignore[arg-type]


def test_a_limit_for_one_model_is_in_seconds_above_zero() -> None:
    assert Timeouts(first_token_by_model={"m": 2}).first_token_by_model == {"m": 2.0}
    with pytest.raises(ValidationError):
        Timeouts(first_token_by_model={"m": 0})
    with pytest.raises(ValidationError):
        Hedging(min_samples=0)
