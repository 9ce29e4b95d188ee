"""A label says few different things, whatever it is given."""

from __future__ import annotations

from gateway.adapters.labels import Labels


def test_a_model_is_told_by_its_name_only_while_it_is_configured() -> None:
    models = ["smol"]
    labels = Labels(lambda: models)
    assert (labels.model("smol"), labels.model("big")) == ("smol", "other")
    models[:] = ["big"]
    assert (labels.model("smol"), labels.model("big")) == ("other", "big")


def test_teams_past_the_first_fifty_are_one() -> None:
    labels = Labels(tuple)
    told = {labels.team(f"team-{number}") for number in range(60)}
    assert len(told) == 51
    assert "other" in told
