"""The fields of a request: free, measured, guarded, unknown; every dangerous one by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.parameters import (
    FREE,
    GUARDED,
    KEYED,
    MEASURED,
    ROUTING,
    check_parameters,
    reference,
)

# One of each that multiplies memory or time, at a value that is too much or of the wrong type.
TOO_MUCH: dict[str, list[Any]] = {
    "n": [17, 10**6, "2", 0],
    "best_of": [17, 1.5],
    "max_tokens": [131_073, -1, "5"],
    "max_completion_tokens": [10**12],
    "min_tokens": [10**12],
    "n_predict": [-1],
    "logprobs": [21, -1, "all"],
    "top_logprobs": [21],
    "prompt_logprobs": [2, -1],
    "stop": [["x"] * 17, "x" * 257, 3],
    "bad_words": [["x"] * 1025, ["x" * 257]],
    "stop_token_ids": [[1] * 1025],
    "logit_bias": [{str(token): 1 for token in range(1025)}],
    "prompt": [["x"] * 129, {"a": 1}],
    "input": [["x"] * 2049, 3],
    "tools": [[{}] * 129, {}],
    "functions": [[{}] * 129],
    "response_format": [{"type": "json_schema"}, "json"],
    "structured_outputs": [{"regex": "("}, []],
    "guided_json": ["{", {"type": "x"}],
    "json_schema": [{"type": "x"}],
    "guided_regex": ["(", "a" * 1025],
    "guided_whitespace_pattern": ["("],
    "guided_grammar": ["x" * 16_385],
    "grammar": ["x" * 16_385],
    "guided_choice": [["x"] * 1025],
}


def refused(body: dict[str, Any], bounds: Bounds | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        check_parameters({"model": "m", "messages": [], **body}, bounds or Bounds())
    assert caught.value.status == 400
    return caught.value


def test_every_measured_parameter_has_its_row_here() -> None:
    assert TOO_MUCH.keys() == MEASURED.keys()


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in TOO_MUCH.items() for value in values]
)
def test_too_much_of_it_is_refused_by_name(name: str, value: Any) -> None:
    error = refused({name: value})
    assert error.param is not None
    assert error.param.partition(".")[0].partition("[")[0] == name


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_what_reaches_into_the_engine_is_refused_unless_the_model_allows_it(name: str) -> None:
    error = refused({name: "x"})
    assert (error.param, error.code) == (name, "unsupported_parameter")
    assert f"limits.models.MODEL.allow: [{name}]" in error.public
    check_parameters({name: "x"}, Bounds(allow=frozenset({name})))
    with pytest.raises(InvalidRequest):
        check_parameters({name: "x"}, Bounds(unknown_parameters="pass"))


@pytest.mark.parametrize("name", sorted(ROUTING))
def test_where_a_request_goes_and_with_whose_key_is_never_a_clients(name: str) -> None:
    anything = Bounds(unknown_parameters="pass", allow=frozenset({name}))
    assert refused({name: "x"}, anything).param == name


def test_template_fields_are_allowed_one_by_one() -> None:
    allow = Bounds(allow=frozenset({f"{KEYED}.enable_thinking"}))
    for value in (True, None, 3, "low"):
        check_parameters({KEYED: {"enable_thinking": value}}, allow)
    error = refused({KEYED: {"enable_thinking": False, "other": 1}}, allow)
    assert error.param == f"{KEYED}.other"
    assert refused({KEYED: {"enable_thinking": False}}).param == f"{KEYED}.enable_thinking"
    for value in ({"a": 1}, [1], "x" * 257):
        assert refused({KEYED: {"enable_thinking": value}}, allow).code == "invalid_type"
    assert refused({KEYED: "x"}, allow).code == "invalid_type"
    check_parameters({KEYED: {"any": [1]}}, Bounds(allow=frozenset({KEYED})))


def test_what_nobody_knows_is_refused_with_what_was_meant_or_passed_on_if_so_set() -> None:
    error = refused({"temprature": 1})
    assert (error.param, error.code) == ("temprature", "unknown_parameter")
    assert "did you mean 'temperature'?" in error.public
    check_parameters({"temprature": 1}, Bounds(unknown_parameters="pass"))
    check_parameters({"temprature": 1}, Bounds(allow=frozenset({"temprature"})))
    assert len(refused({"x" * 10_000: 1}).public) < 500


def test_null_is_the_same_as_nothing() -> None:
    names = [*GUARDED, *MEASURED, *ROUTING, KEYED, "anything"]
    check_parameters(dict.fromkeys(names), Bounds())


def test_several_prompts_times_n_are_bounded_together() -> None:
    check_parameters({"prompt": ["a"] * 8, "n": 16}, Bounds())
    assert refused({"prompt": ["a"] * 9, "n": 16}).param == "n"
    check_parameters({"prompt": [1] * 500, "n": 16}, Bounds())


def test_no_name_is_in_two_lists() -> None:
    lists = [FREE, MEASURED.keys(), GUARDED.keys(), ROUTING, {KEYED}]
    assert len(set().union(*lists)) == sum(map(len, lists))


def test_the_page_is_fresh() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "parameters.md"
    stale = "docs/reference/parameters.md is stale; run: make docs"
    assert page.read_text(encoding="utf-8") == reference(), stale
