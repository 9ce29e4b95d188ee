"""The table of actions is whole: whoever follows it finds a prompt, fields and a route."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompts import load
from gateway.domain.actions import (
    ACTIONS,
    BY_NAME,
    COMMON,
    FIELDS,
    INTENTS,
    Action,
    meant,
    own_options,
)

SHIPPED = load(Path(__file__).parents[2] / "prompts")


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_the_prompt_of_an_action_is_shipped_and_of_its_kind(action: Action) -> None:
    assert SHIPPED.get(action.prompt).output["kind"] == action.kind


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_an_example_holds_what_its_action_needs(action: Action) -> None:
    assert set(action.needs) <= set(action.example)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_no_field_of_a_result_is_there_twice(action: Action) -> None:
    names = [*COMMON, *action.fields]
    assert len(set(names)) == len(names)


def test_names_are_unique_and_every_form_is_used() -> None:
    assert len(BY_NAME) == len(ACTIONS)
    assert {action.form for action in ACTIONS} == set(FIELDS)


def test_a_word_of_intent_leads_to_an_action_that_takes_it_and_answers_alike() -> None:
    for word, name in INTENTS.items():
        assert meant(BY_NAME[name], word) == BY_NAME[name]
    for action in ACTIONS:
        for word in action.intents:
            found = meant(action, word)
            assert found is not None
            assert (found.form, found.subject) == (action.form, action.subject)


def test_without_a_word_the_route_is_meant_and_a_foreign_word_is_none() -> None:
    assert meant(BY_NAME["review"], None) == BY_NAME["review"]
    assert meant(BY_NAME["review"], "fix") is None
    assert meant(BY_NAME["rewrite"], "test") is None


def test_options_of_few_are_told_with_their_owners() -> None:
    assert own_options() == {"target_path": ("tests",)}
