"""A JSON object is read as far as it goes, and what it gives can be written again."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.cut_json import Found, find

WHOLE = {"findings": [{"a": "é", "b": [1, {"c": None}]}, {"a": "2"}], "summary": "x"}


def test_a_whole_object_is_found_in_prose_and_fences() -> None:
    text = json.dumps(WHOLE)
    for said in (text, f"Here {{it}} is:\n```json\n{text}\n```\nBye.", f"  {text}  "):
        assert find(said) == Found(WHOLE, whole=True)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_of_one_that_was_cut_the_whole_items_are_there(ascii_only: bool) -> None:
    text = json.dumps(WHOLE, ensure_ascii=ascii_only)
    for at in range(1, len(text)):
        found = find(text[:at])
        if found is None:
            continue
        assert not found.whole
        assert found.fields.get("findings", []) in ([], WHOLE["findings"][:1], WHOLE["findings"])
    almost = find(text[: text.index('"summary"')])
    assert almost == Found({"findings": WHOLE["findings"]}, whole=False)


@pytest.mark.parametrize(
    "text", ["", "no JSON", "{", "{}", "[1]", "{1: 2}", "{'a': 1}", "{" * 5000]
)
def test_what_is_no_object_with_a_field_is_none(text: str) -> None:
    assert find(text) is None


def test_too_deep_a_value_is_none_and_no_error() -> None:
    assert find('{"a": ' + "[" * 100_000) in (None, Found({"a": []}, whole=False))
    assert find('{"a": {"b":' + '{"b":' * 100_000) is None


def test_half_a_character_is_replaced_and_no_number_is_left_out() -> None:
    assert find('{"a": "\\ud800!"}') == Found({"a": "?!"}, whole=True)
    found = find('{"a": 1, "b": NaN}')
    assert found == Found({"a": 1}, whole=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(fields=st.dictionaries(st.text(), JSON, min_size=1, max_size=4), cut=st.integers(0, 200))
def test_whatever_is_read_can_be_written(fields: dict[str, Any], cut: int) -> None:
    text = json.dumps(fields)
    found = find(text)
    assert found == Found(fields, whole=True)
    part = find(text[:cut])
    assert part is None or orjson.dumps(part.fields)


def test_of_objects_in_objects_that_never_close_not_every_one_is_read_to_the_end() -> None:
    assert find('{"a":' * 400 + "[1,") is None
    assert find('{ x: {"a" ' + "{}" * 400 + '{"b": [2') == Found({"b": [2]}, whole=False)
