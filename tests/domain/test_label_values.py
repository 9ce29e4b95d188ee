"""Values of a label are bounded."""

from __future__ import annotations

from gateway.domain.label_values import LabelValues
from gateway.domain.metrics import OTHER


def test_a_label_stays_within_its_limit_whatever_comes() -> None:
    teams = LabelValues(50)
    shown = [teams.label(f"team-{number}") for number in range(10_000)]
    assert len(set(shown)) == 51
    assert shown[49] == "team-49"
    assert shown[50] == OTHER
    assert teams.label("team-3") == "team-3"
