"""Every text of an answer is found, wherever it stands, and can be put back there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.domain.texts import (
    Unreadable,
    choices,
    conceal,
    field_name,
    read,
    speaking,
    texts,
    write,
)


def found(choice: dict[str, Any]) -> dict[str, str]:
    return {field_name(text.path): text.value for text in texts(choice, 0)}


def test_text_stands_in_deltas_messages_and_completions() -> None:
    assert found({"index": 0, "delta": {"role": "assistant", "content": "a"}}) == {"content": "a"}
    assert found({"index": 0, "message": {"content": "b"}}) == {"content": "b"}
    assert found({"index": 0, "text": "c", "finish_reason": "stop"}) == {"text": "c"}


def test_reasoning_tool_names_and_tool_arguments_are_text_but_ids_and_roles_are_not() -> None:
    call = {"index": 1, "id": "t", "type": "function", "function": {"name": "n", "arguments": "{"}}
    delta = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]}
    assert found({"delta": delta}) == {
        "reasoning_content": "hm",
        "tool_calls.1.function.name": "n",
        "tool_calls.1.function.arguments": "{",
    }


def test_a_field_that_nobody_has_heard_of_is_text_all_the_same() -> None:
    assert found({"delta": {"inner_voice": {"lines": ["x", "y"]}}}) == {
        "inner_voice.lines.0": "x",
        "inner_voice.lines.1": "y",
    }


def test_a_tool_call_keeps_its_place_when_it_stands_elsewhere_in_the_next_delta() -> None:
    first = {"delta": {"tool_calls": [{"index": 0, "a": "x"}, {"index": 1, "a": "y"}]}}
    second = {"delta": {"tool_calls": [{"index": 1, "a": "z"}]}}
    places = [text.place for text in texts(first, 0)]
    assert [text.place for text in texts(second, 0)] == places[1:]


def test_a_changed_text_is_changed_in_the_answer() -> None:
    answer = {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": "secret"}}]}}]}
    (text,) = texts(answer["choices"][0], 0)
    text.value = "[gone]"
    assert b'"arguments":"[gone]"' in write(answer)


def test_half_a_surrogate_pair_is_read_and_written_as_it_was() -> None:
    payload = b'{"choices":[{"delta":{"content":"\\ud83d"}}]}'
    assert json.loads(write(read(payload))) == json.loads(payload)


@pytest.mark.parametrize("payload", [b"", b"hello", b"[1]", b'"text"', b'{"a":', b"[" * 100_000])
def test_what_is_no_json_object_is_unreadable(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        read(payload)


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": "x"}, {"choices": ["x"]}])
def test_an_answer_without_choices_is_unreadable(answer: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        choices(answer)


def test_an_error_object_and_a_usage_event_have_no_choices() -> None:
    assert choices({"error": {"message": "no"}}) == []
    assert choices({"choices": [], "usage": {}}) == []


def test_log_probabilities_and_token_ids_are_concealed_for_they_repeat_the_text() -> None:
    answer = {"choices": [{"logprobs": {"content": [{"token": "x"}]}, "token_ids": [1]}]}
    assert conceal(answer)
    assert answer == {"choices": [{"logprobs": None}]}
    assert not conceal(answer)


def test_an_event_that_speaks_for_a_choice_says_that_and_nothing_else() -> None:
    answer = {"id": "x", "model": "m", "choices": [{"finish_reason": "stop"}], "usage": {"a": 1}}
    said = [
        (("delta", "content"), "end"),
        (("delta", "tool_calls", 2, "function", "arguments"), "}"),
        (("delta", "parts", 0), "p"),
    ]
    assert speaking(answer, 1, said) == {
        "id": "x",
        "model": "m",
        "usage": None,
        "choices": [
            {
                "index": 1,
                "finish_reason": None,
                "delta": {
                    "content": "end",
                    "tool_calls": [{"index": 2, "function": {"arguments": "}"}}],
                    "parts": ["p"],
                },
            }
        ],
    }
    assert answer["usage"] == {"a": 1}


def test_what_was_said_at_a_place_is_found_at_that_place_again() -> None:
    call = {"index": 3, "function": {"arguments": "{}"}}
    choice = {"index": 0, "delta": {"content": "a", "tool_calls": [call]}}
    said = [(text.path, text.value) for text in texts(choice, 0)]
    again = speaking({"choices": []}, 0, said)["choices"][0]
    assert [(text.path, text.value) for text in texts(again, 0)] == said
