"""Bounds: which hold for a model, by its own name or by the one it is an alias of."""

from __future__ import annotations

from gateway.domain.bounds import Bounds, InputLimits

TIGHT, LOOSE = Bounds(n=1), Bounds(n=9)


def test_a_model_has_its_own_bounds_or_the_usual_ones() -> None:
    limits = InputLimits(usual=TIGHT, models={"big": LOOSE})
    assert limits.of("big") is LOOSE
    assert limits.of("small") is TIGHT


def test_an_alias_has_those_of_its_model_unless_it_has_some_itself() -> None:
    limits = InputLimits(usual=TIGHT, models={"big": LOOSE, "alias": Bounds(n=5)})
    assert limits.of("other", "big") is LOOSE
    assert limits.of("alias", "big").n == 5
