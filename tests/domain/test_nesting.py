"""How deep JSON nests, before it is read and after."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.nesting import deeper_than, may_be_deeper_than, may_hold_more_than

VALUES = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
)


def depth_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    rows = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth_of, rows), default=0)


@given(VALUES)
def test_the_depth_is_that_of_the_deepest_value(value: Any) -> None:
    depth = depth_of(value)
    assert not deeper_than(value, depth)
    if depth:
        assert deeper_than(value, depth - 1)


@given(VALUES, st.integers(0, 9))
def test_what_looks_flat_is_flat(value: Any, depth: int) -> None:
    if not may_be_deeper_than(orjson.dumps(value), depth):
        assert not deeper_than(value, depth)


def test_braces_in_a_text_only_cause_a_second_look() -> None:
    raw = orjson.dumps({"a": "{" * 100})
    assert may_be_deeper_than(raw, 64)
    assert not deeper_than(orjson.loads(raw), 1)


@pytest.mark.parametrize(("count", "more"), [(9, False), (10, False), (11, True), (200_000, True)])
def test_values_are_counted_by_their_commas(count: int, more: bool) -> None:
    assert may_hold_more_than(orjson.dumps([[]] * count), 10) is more
