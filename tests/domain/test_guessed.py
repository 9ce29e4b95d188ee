"""Tokens that no replica told of are guessed from what was said, and marked as a guess."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.call import Usage
from gateway.domain.guessed import of_answer, of_stream

BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "12345678"}]}


def test_an_event_of_a_stream_brings_a_token_but_for_the_first() -> None:
    assert of_stream(BODY, 6) == Usage(2, 5, estimated=True)
    assert of_stream(BODY, 0) == Usage(2, 0, estimated=True)


@pytest.mark.parametrize(
    ("choices", "tokens"),
    [
        ([{"message": {"role": "assistant", "content": "123456789"}}], 3),
        ([{"text": "12345678"}], 2),
        ([{"message": {"content": "1234"}}, {"message": {"content": "1234"}}], 2),
        ([{"message": {"content": None, "reasoning_content": "12345678"}}], 2),
        ([{"message": {"tool_calls": [{"function": {"arguments": "12345678"}}]}}], 2),
        ([{"message": {"content": "안녕"}}], 2),
        ([{"message": {"content": "\ud800"}}], 1),
        ("no list", 0),
        ([None, {"message": "no object"}], 0),
        (None, 0),
    ],
)
def test_four_bytes_of_an_answer_are_a_token(choices: Any, tokens: int) -> None:
    assert of_answer(BODY, {"choices": choices}) == Usage(2, tokens, estimated=True)


def test_a_prompt_in_tokens_has_as_many() -> None:
    assert of_stream({"prompt": [1, 2, 3]}, 0).prompt == 3
    assert of_stream({"prompt": [[1, 2], [3, 4, 5]]}, 0).prompt == 5
    assert of_stream({"input": ["12345678", "1234"]}, 0).prompt == 3
