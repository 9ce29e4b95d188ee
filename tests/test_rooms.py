"""A house tells whose plan it was built from."""

from __future__ import annotations

from gateway.bootstrap import Gateway
from gateway.settings import Settings
from gateway.testing.served import fleet_on


def test_a_house_knows_the_plan_that_it_was_built_from() -> None:
    house = Gateway(Settings(), fleet_on(["http://127.0.0.1:9/v1"])).house
    assert house.settings is house.plan.settings
    assert house.fleet is house.plan.fleet
    assert house.prompts is house.plan.prompts
