"""Every text that a model would read, in whatever shape it was sent; no name, no picture."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.request_texts import texts


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, ["a", "b"]),
        ({"messages": [{"content": [{"type": "text", "text": "a"}, {"text": "b"}]}]}, ["a", "b"]),
        ({"prompt": "a", "suffix": "b"}, ["a", "b"]),
        ({"prompt": ["a", "b"]}, ["a", "b"]),
        ({"input": ["a", [1, 2]]}, ["a"]),
        ({"model": "m", "user": "u", "stop": ["a"], "seed": 3}, ["a"]),
        ({"tools": [{"type": "function", "function": {"description": "a"}}]}, ["a"]),
        ({"tools": [{"function": {"parameters": {"x": {"enum": ["a"]}}}}]}, ["a"]),
        ({"messages": [{"role": "tool", "tool_call_id": "t", "content": "a"}]}, ["a"]),
        ({"messages": [{"content": [{"image_url": {"url": "data:x"}}]}]}, []),
        ({"messages": [{"content": [{"image_url": {"url": "https://a"}}]}]}, ["https://a"]),
        ({"messages": [{"content": [{"input_audio": {"data": "x", "format": "wav"}}]}]}, []),
    ],
)
def test_all_that_is_read(body: dict[str, Any], found: list[str]) -> None:
    assert [text.value for text in texts(body)] == found


def test_the_arguments_of_a_tool_are_json() -> None:
    call = {"function": {"name": "f", "arguments": '{"a": 1}'}}
    found = {text.value: text.json for text in texts({"messages": [{"tool_calls": [call]}]})}
    assert found == {"f": False, '{"a": 1}': True}


def test_a_text_is_changed_where_it_stands() -> None:
    body = {"messages": [{"content": [{"text": "a"}]}], "stop": ["b"]}
    for text in texts(body):
        text.change(text.value.upper())
    assert body == {"messages": [{"content": [{"text": "A"}]}], "stop": ["B"]}


def test_depth_is_no_trouble() -> None:
    body: dict[str, Any] = {"text": "deep"}
    for _ in range(5_000):
        body = {"x": [body]}
    assert [text.value for text in texts(body)] == ["deep"]
