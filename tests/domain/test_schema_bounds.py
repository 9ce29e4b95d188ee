"""JSON Schemas of clients: what passes is a valid schema, and what does not says where."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.schema_bounds import check_schemas

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 200.0, "pattern": "^[A-Z]"},
        "age": {"type": ["integer", "null"], "minimum": 0, "exclusiveMaximum": 200},
        "friends": {"type": "array", "items": {"$ref": "#/$defs/friend"}, "uniqueItems": True},
        "pair": {"prefixItems": [{"type": "number"}, True], "items": False},
        # Properties that are called like keywords.
        "type": {"enum": ["a", 1, None]},
        "pattern": {"const": {"type": 3}},
        "$ref": {"type": "string", "format": "uri"},
    },
    "required": ["name"],
    "dependentRequired": {"age": ["name"]},
    "patternProperties": {"^x-": {"anyOf": [{"type": "string"}, {"not": {"type": "null"}}]}},
    "additionalProperties": False,
    "$defs": {"friend": {"allOf": [{"$ref": "#"}]}},
    "if": {"required": ["age"]},
    "then": {},
    "x-order": 3,
    "default": {"pattern": 3},
}


def refused(schema: Any, bounds: Bounds | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_schemas([("s", schema)], bounds or Bounds())
    return caught.value


def test_a_schema_with_most_of_the_keywords_passes() -> None:
    jsonschema.Draft202012Validator.check_schema(PERSON)
    check_schemas([("s", PERSON), ("t", True)], Bounds())


@pytest.mark.parametrize(
    ("broken", "where"),
    [
        (3, "s"),
        ({"type": "strin"}, "s.type"),
        ({"type": []}, "s.type"),
        ({"type": {"a": 1}}, "s.type"),
        ({"properties": []}, "s.properties"),
        ({"properties": {"a": {"b": 1}, "c": "string"}}, "s.properties.c"),
        ({"items": {"items": {"type": 3}}}, "s.items.items.type"),
        ({"items": 3}, "s.items"),
        ({"anyOf": []}, "s.anyOf"),
        ({"anyOf": {}}, "s.anyOf"),
        ({"allOf": [{"not": []}]}, "s.allOf[0].not"),
        ({"required": "a"}, "s.required"),
        ({"required": [1]}, "s.required"),
        ({"dependentRequired": {"a": "b"}}, "s.dependentRequired"),
        ({"enum": "a"}, "s.enum"),
        ({"minLength": -1}, "s.minLength"),
        ({"minLength": 1.5}, "s.minLength"),
        ({"maxItems": "3"}, "s.maxItems"),
        ({"maxItems": True}, "s.maxItems"),
        ({"minimum": "0"}, "s.minimum"),
        ({"multipleOf": 0}, "s.multipleOf"),
        ({"uniqueItems": 1}, "s.uniqueItems"),
        ({"pattern": 3}, "s.pattern"),
        ({"pattern": "(a"}, "s.pattern"),
        ({"patternProperties": {"[": {}}}, "s.patternProperties"),
        ({"title": 3}, "s.title"),
        ({"$ref": 3}, "s.$ref"),
    ],
)
def test_a_schema_that_is_none_is_refused_with_the_place(broken: Any, where: str) -> None:
    with pytest.raises(jsonschema.SchemaError):
        jsonschema.Draft202012Validator.check_schema(broken)
    assert refused(broken).param == where


@pytest.mark.parametrize(
    "reference", ["https://example.com/a.json", "file:///etc/passwd", "a.json"]
)
def test_a_schema_points_only_into_itself(reference: str) -> None:
    assert "begins with #" in refused({"items": {"$ref": reference}}).public


@pytest.mark.parametrize(
    ("schema", "code"),
    [
        ({"maxItems": 100_001}, "invalid_schema"),
        ({"maxLength": 1e300}, "invalid_schema"),
        ({"not": {"not": {"not": {"not": {}}}}}, "schema_too_deep"),
        ({"pattern": "a" * 101}, "string_above_max_length"),
        ({"anyOf": [{"pattern": f"{at}" * 99} for at in range(1, 6)]}, "string_above_max_length"),
    ],
)
def test_a_schema_that_would_unroll_into_a_huge_one_is_refused(schema: Any, code: str) -> None:
    assert refused(schema, Bounds(schema_depth=4, pattern_chars=100)).code == code


def test_a_pattern_that_is_used_often_counts_once() -> None:
    schema = {"anyOf": [{"pattern": "a" * 99} for _ in range(100)]}
    check_schemas([("s", schema)], Bounds(pattern_chars=100))
