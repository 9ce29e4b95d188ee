"""Settings of health and affinity have sane bounds."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.adapters.health import HealthRule
from gateway.domain.affinity import AffinityRule
from gateway.rules import affinity_of, health_of
from gateway.settings import Settings
from gateway.settings.replicas import Affinity, Health


def test_the_defaults_are_those_of_the_rules_they_become() -> None:
    assert health_of(Settings()) == HealthRule()
    assert affinity_of(Settings()) == AffinityRule()


def test_probes_can_be_turned_off() -> None:
    assert health_of(Settings(health={"probe": False})).probe is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [{"interval_s": 0}, {"timeout_s": -1}, {"unhealthy_after": 0}, {"jitter": 2}]
)
def test_health_refuses_what_makes_no_sense(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Health(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"load_factor": 0.9}, {"kv_cache": 1.1}, {"waiting": -1}])
def test_affinity_refuses_what_makes_no_sense(given: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Affinity(**given)  # type: ignore[arg-type]
