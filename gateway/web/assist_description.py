"""What /docs shows of /api/ai/*: the body of each action, made of the table and of the shapes."""

from __future__ import annotations

from typing import Any

from gateway.domain.actions import ACTIONS, Action, own_options
from gateway.web.assist_body import SHAPES
from gateway.web.description import body_of


def described(action: Action) -> dict[str, Any]:
    """A route's part of the OpenAPI document: its body, with an example that can be sent."""
    schema = _schema(action)
    intents = [*action.intents, None] if action.intents else [None]
    del schema["properties"]["action"]["anyOf"]
    schema["properties"]["action"]["enum"] = intents
    return body_of(schema, _copied(action.example))


def described_preview() -> dict[str, Any]:
    """That of `context/preview`: any action's body, and the action's name."""
    properties: dict[str, Any] = {}
    for action in ACTIONS:
        properties |= _schema(action)["properties"]
    names = [action.name for action in ACTIONS]
    about = "The action whose prompt is meant; the rest of the body is that action's."
    properties["action"] = {"enum": names, "default": names[0], "description": about}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return body_of(schema, {"action": ACTIONS[0].name} | _copied(ACTIONS[0].example))


def _schema(action: Action) -> dict[str, Any]:
    """The shape of a body as JSON Schema without references, with what this action needs."""
    schema: dict[str, Any] = SHAPES[action.subject].model_json_schema()
    schema = _inlined(schema, schema.pop("$defs"))
    for name in action.needs:
        field = schema["properties"][name]
        field.pop("default", None)
        if field.get("type") == "string":
            field["minLength"] = 1
        if field.get("type") == "array":
            field["minItems"] = 1
    schema["required"] = list(action.needs)
    for name, owners in own_options().items():
        if action.name not in owners:
            del schema["properties"]["options"]["properties"][name]
    return schema


def _inlined(node: Any, definitions: dict[str, Any]) -> Any:
    """`node` with each `$ref` replaced by what it stands for: OpenAPI looks for those elsewhere."""
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = definitions[node["$ref"].rsplit("/", 1)[1]]
        node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
    return {key: _inlined(value, definitions) for key, value in node.items()}


def _copied(example: Any) -> Any:
    """The example in plain types: the document may be changed where it is shown."""
    return _inlined(dict(example), {})
