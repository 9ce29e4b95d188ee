"""What happens to a call is counted once, under bounded names."""

from __future__ import annotations

from tests.adapters.metered_calls import Told, a_call


def test_what_calls_cost_is_told_in_units_by_team_and_model() -> None:
    told = Told()
    told.calls.cost(a_call(model="smol"), 250_000)
    told.calls.cost(a_call(model="smol"), 500_000)
    told.calls.cost(a_call(model="made-up"), 1)
    told.calls.cost(a_call(model="smol"), 0)
    shown = told.samples("gw_cost_total")
    assert [shown[name] for name in sorted(shown)] == [1e-06, 0.75]
    assert "model=other" in min(shown)
