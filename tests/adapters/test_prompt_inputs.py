"""Types of inputs: what fits, what does not, and in which words."""

from __future__ import annotations

import re

import pytest

from gateway.adapters.prompt_inputs import TYPE_PATTERN, InputType, texts

GOOD = [
    ("text", "a\nb"),
    ("integer", 3),
    ("boolean", True),
    ("choice[short,long]", "long"),
    ("conversation", [{"role": "user", "content": "hi"}]),
    ("items[path,text]", [{"path": "a", "text": "b"}]),
    ("items[line,text]", [{"line": 3, "text": "b"}]),
    ("code[path, text]", {"path": "a", "text": "b"}),
]
BAD = [
    ("text", 3, "must be text"),
    ("text", None, "must be text"),
    ("text", "a\ud800", "lone surrogate"),
    ("integer", True, "whole number"),
    ("integer", "3", "whole number"),
    ("boolean", "yes", "true or false"),
    ("choice[short,long]", "medium", "one of short, long"),
    ("conversation", [{"role": "system", "content": "hi"}], "'role' must be one of"),
    ("conversation", "user: hi", "must be a list"),
    ("items[path]", {"path": "a"}, "must be a list"),
    ("items[path]", [{"path": "a"}, {"paht": "a"}], "item 1: unknown field 'paht'; did you mean"),
    ("items[path]", [{"path": ["a"]}], "the field 'path' must be text"),
    ("items[line]", [{"line": float("nan")}], "the field 'line' must be text"),
    ("code[path,text]", {"path": "a"}, "'text' is missing"),
    ("code[path]", "a", "must be an object with the fields path"),
]


@pytest.mark.parametrize(("type_", "value"), GOOD)
def test_a_value_that_fits_is_taken_as_it_is(type_: str, value: object) -> None:
    assert InputType.read(type_).check(value) == value


@pytest.mark.parametrize(("type_", "value", "message"), BAD)
def test_a_value_that_does_not_fit_is_refused_in_plain_words(
    type_: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        InputType.read(type_).check(value)


def test_a_field_with_a_question_mark_may_be_missing() -> None:
    shape = InputType.read("items[line,severity?]")

    assert shape.check([{"line": 1}]) == [{"line": 1, "severity": ""}]


def test_a_text_that_overrides_its_methods_becomes_a_plain_one() -> None:
    class Sly(str):
        def __str__(self) -> str:
            return "other"

    taken = InputType.read("text").check(Sly("said"))

    assert type(taken) is str
    assert taken == "said"


@pytest.mark.parametrize("word", ["string", "items", "items[]", "code[A]", "choice[a", "Text"])
def test_an_unknown_type_does_not_match_the_pattern(word: str) -> None:
    assert re.match(TYPE_PATTERN, word) is None


def test_all_texts_inside_a_value_are_found() -> None:
    assert list(texts([{"a": "x", "b": 3}, {"a": "y", "b": "z"}])) == ["x", "y", "z"]
