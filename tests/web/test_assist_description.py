"""What /docs shows of the actions: their own bodies, whole, with examples that are valid."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from gateway.domain.actions import ACTIONS, BY_NAME, Action
from gateway.web.assist_description import described, described_preview
from gateway.web.assist_request import read_preview, read_request


def body(shown: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema and the example."""
    content = shown["requestBody"]["content"]["application/json"]
    return content["schema"], content["example"]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_an_example_fits_the_schema_and_the_gateway(action: Action) -> None:
    schema, example = body(described(action))
    Draft202012Validator.check_schema(schema)
    assert list(Draft202012Validator(schema).iter_errors(example)) == []
    assert read_request(example, action)[1] is action
    assert "$ref" not in str(schema)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_the_schema_asks_for_what_the_action_needs(action: Action) -> None:
    schema, example = body(described(action))
    for name in action.needs:
        lacking = {key: value for key, value in example.items() if key != name}
        empty: Any = [] if isinstance(example[name], list) else ""
        for wrong in (lacking, {**lacking, name: empty}):
            assert list(Draft202012Validator(schema).iter_errors(wrong)), wrong


def test_only_what_an_action_takes_is_shown() -> None:
    review, _ = body(described(BY_NAME["review"]))
    tests, _ = body(described(BY_NAME["tests"]))
    assert "target_path" not in review["properties"]["options"]["properties"]
    assert "target_path" in tests["properties"]["options"]["properties"]
    assert review["properties"]["action"]["enum"] == [None]
    rewrite, _ = body(described(BY_NAME["rewrite"]))
    assert rewrite["properties"]["action"]["enum"] == ["fix", "doc", "refactor", "custom", None]


def test_a_preview_takes_the_body_of_every_action() -> None:
    schema, example = body(described_preview())
    assert schema["properties"]["action"]["enum"] == [action.name for action in ACTIONS]
    assert read_preview(example)[1] is ACTIONS[0]
    for action in ACTIONS:
        said = {**body(described(action))[1], "action": action.name}
        assert list(Draft202012Validator(schema).iter_errors(said)) == []
        assert read_preview(said)[1] is action
