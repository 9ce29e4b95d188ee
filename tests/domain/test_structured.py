"""Tools, response formats, grammars and choices: within their bounds, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain import structured as s
from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest

BOUNDS = Bounds(tools=2, tools_bytes=400, schema_bytes=200, grammar_bytes=50, choices=3)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (s.check_tools, []),
        (s.check_tools, [TOOL, {"type": "function", "function": {"name": "g"}}]),
        (s.check_tools, [{"name": "older", "parameters": {}}]),
        (s.check_tools, [{"type": "custom", "custom": {"name": "c"}}]),
        (s.check_response_format, {"type": "text"}),
        (s.check_response_format, {"type": "json_object"}),
        (s.check_response_format, FORM),
        (s.check_structured_outputs, {"json": {"type": "object"}, "disable_fallback": True}),
        (s.check_structured_outputs, {"json": '{"type": "object"}', "regex": None}),
        (s.check_structured_outputs, {"choice": ["a", "b"]}),
        (s.check_structured_outputs, {"grammar": 'root ::= "a"', "json_object": True}),
        (s.check_structured_outputs, {"structural_tag": '{"structures": [{"schema": {}}]}'}),
        (s.check_regex, "[ab]+"),
    ],
)
def test_what_clients_send_passes(check: Callable[..., None], value: Any) -> None:
    check("p", value, BOUNDS)


@pytest.mark.parametrize(
    ("check", "value", "param"),
    [
        (s.check_tools, {}, "p"),
        (s.check_tools, ["f"], "p"),
        (s.check_tools, [TOOL] * 3, "p"),
        (s.check_tools, [{"type": "function", "description": "d" * 400}], "p"),
        (s.check_tools, [{"function": "f"}], "p[0].function"),
        (s.check_tools, [TOOL, {"function": {"parameters": []}}], "p[1].function.parameters"),
        (s.check_tools, [{"parameters": {"type": "x"}}], "p[0].parameters.type"),
        (s.check_response_format, "json", "p"),
        (s.check_response_format, {}, "p"),
        (s.check_response_format, {"type": "yaml"}, "p.type"),
        (s.check_response_format, {"type": "json_schema"}, "p.json_schema"),
        (
            s.check_response_format,
            {"type": "json_schema", "json_schema": {"schema": {"type": 1}}},
            "p.json_schema.schema.type",
        ),
        (
            s.check_response_format,
            {"type": "structural_tag", "structures": [{"schema": {"type": "x"}}]},
            "p.structures.[0].schema.type",
        ),
        (s.check_structured_outputs, [], "p"),
        (s.check_structured_outputs, {"json": "{"}, "p.json"),
        (s.check_structured_outputs, {"json": {"title": "x" * 200}}, "p.json"),
        (s.check_structured_outputs, {"regex": "("}, "p.regex"),
        (s.check_structured_outputs, {"whitespace_pattern": "("}, "p.whitespace_pattern"),
        (s.check_structured_outputs, {"grammar": "x" * 51}, "p.grammar"),
        (s.check_structured_outputs, {"grammar": "한" * 20}, "p.grammar"),
        (s.check_structured_outputs, {"grammar": ["x"]}, "p.grammar"),
        (s.check_structured_outputs, {"grammar": "(" * 33}, "p.grammar"),
        (s.check_structured_outputs, {"choice": ["a"] * 4}, "p.choice"),
        (s.check_structured_outputs, {"choice": ["a" * 201]}, "p.choice"),
        (s.check_structured_outputs, {"choice": [1]}, "p.choice"),
        (s.check_structured_outputs, {"choice": []}, "p.choice"),
        (s.check_structured_outputs, {"structural_tag": "{"}, "p.structural_tag"),
        (
            s.check_structured_outputs,
            {"structural_tag": {"format": {"type": "regex", "pattern": "("}}},
            "p.structural_tag.format.pattern",
        ),
        (
            s.check_structured_outputs,
            {"structural_tag": {"format": {"grammar": "(" * 33}}},
            "p.structural_tag.format.grammar",
        ),
    ],
)
def test_what_passes_a_bound_or_is_broken_is_refused_with_the_place(
    check: Callable[..., None], value: Any, param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check("p", value, BOUNDS)
    assert caught.value.param == param


def test_tools_that_have_passed_under_one_models_bounds_are_measured_under_anothers() -> None:
    tools = [{"function": {"name": "once", "parameters": {"not": {"not": {}}}}}]
    s.check_tools("tools", tools, Bounds())
    s.check_tools("tools", tools, Bounds())
    with pytest.raises(InvalidRequest):
        s.check_tools("tools", tools, Bounds(schema_depth=2))


def test_only_so_many_passed_schemas_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s, "_MOST_PASSED", 3)
    monkeypatch.setattr(s, "_PASSED", {})
    for number in range(9):
        s.check_json("p", {"title": str(number)}, Bounds())
    assert len(s._PASSED) == 3
