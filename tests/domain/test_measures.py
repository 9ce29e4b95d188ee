"""Numbers and lists that multiply work: the most that is taken, and types that engines bend."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import measures as m
from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest

BOUNDS = Bounds(n=4, stop=2, stop_chars=5, logit_bias=2, prompts=2)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (m.number("n", least=1), 1),
        (m.number("n", least=1), 4),
        (m.number("n", flag=True), True),
        (m.stop, "a"),
        (m.stop, []),
        (m.stop, ["12345", "\n"]),
        (m.words, ["a", "b"]),
        (m.token_ids, [1, 2]),
        (m.logit_bias, {"1": -100, "2": 0.5}),
        (m.texts("prompts"), "long " * 1000),
        (m.texts("prompts"), ["a", "b"]),
        (m.texts("prompts"), list(range(1000))),
        (m.texts("prompts"), [[1, 2], "a"]),
        (m.texts("prompts"), []),
    ],
)
def test_within_its_bound_a_value_passes(check: m.Check, value: Any) -> None:
    check("p", value, BOUNDS)


@pytest.mark.parametrize(
    ("check", "value", "code"),
    [
        (m.number("n"), 5, "integer_above_max_value"),
        (m.number("n"), 10**18, "integer_above_max_value"),
        (m.number("n", least=1), 0, "integer_below_min_value"),
        (m.number("n"), -1, "integer_below_min_value"),
        (m.number("n"), "2", "invalid_type"),
        (m.number("n"), 2.0, "invalid_type"),
        (m.number("n"), True, "invalid_type"),
        (m.number("n"), [1], "invalid_type"),
        (m.stop, ["a", "b", "c"], "array_above_max_length"),
        (m.stop, "123456", "string_above_max_length"),
        (m.stop, [1], "invalid_type"),
        (m.stop, {"a": 1}, "invalid_type"),
        (m.words, "a", "invalid_type"),
        (m.words, ["a"] * 3, "array_above_max_length"),
        (m.words, ["123456"], "string_above_max_length"),
        (m.token_ids, [1, 2, 3], "array_above_max_length"),
        (m.token_ids, [True], "invalid_type"),
        (m.token_ids, 1, "invalid_type"),
        (m.logit_bias, {"1": 1, "2": 1, "3": 1}, "array_above_max_length"),
        (m.logit_bias, {"1": "2"}, "invalid_type"),
        (m.logit_bias, {"1": True}, "invalid_type"),
        (m.logit_bias, [], "invalid_type"),
        (m.texts("prompts"), ["a", "b", "c"], "array_above_max_length"),
        (m.texts("prompts"), 3, "invalid_type"),
        (m.texts("prompts"), {"a": 1}, "invalid_type"),
        (m.texts("prompts"), [1, "a"], "invalid_type"),
        (m.texts("prompts"), [["a"]], "invalid_type"),
        (m.texts("prompts"), [None], "invalid_type"),
    ],
)
def test_beyond_it_a_value_is_refused_by_name_with_openais_code(
    check: m.Check, value: Any, code: str
) -> None:
    with pytest.raises(InvalidRequest, match="'p") as caught:
        check("p", value, BOUNDS)
    assert caught.value.code == code
    assert (caught.value.param or "").startswith("p")


def test_a_refusal_names_the_setting() -> None:
    with pytest.raises(InvalidRequest, match=r"limits\.max_tokens"):
        m.number("max_tokens")("max_completion_tokens", 10**9, Bounds())
