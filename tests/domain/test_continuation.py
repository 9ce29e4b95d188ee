"""Which answers another replica may go on with, and what it is asked then."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.continuation import continued, obstacle, opening, tokens_left
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS

TALK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
CODE: dict[str, Any] = {"prompt": "def f"}


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"tools": [{}]}, "tools"),
        ({"functions": [{}]}, "functions"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": "json"}, "response_format"),
        ({"structured_outputs": {"regex": "a"}}, "structured_outputs"),
        ({"guided_choice": ["a"]}, "guided_choice"),
        ({"grammar": "root ::= a"}, "grammar"),
        ({"n": 2}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 0}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"prompt_logprobs": 1}, "prompt_logprobs"),
        ({"echo": True}, "echo"),
        ({"truncate_prompt_tokens": 9}, "truncate_prompt_tokens"),
    ],
)
def test_what_ties_an_answer_to_one_run_is_an_obstacle(more: dict[str, Any], name: str) -> None:
    assert obstacle(CHAT, TALK | more) == name


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{}], "tool_choice": "none"},
        {"response_format": {"type": "text"}},
        {"n": 1, "best_of": 1, "logprobs": False, "echo": False, "tools": []},
        {"temperature": 0.2, "stop": ["x"], "seed": 1},
    ],
)
def test_what_does_not_is_none(more: dict[str, Any]) -> None:
    assert obstacle(CHAT, TALK | more) == ""
    assert obstacle(COMPLETIONS, CODE | more) == ""


def test_only_one_prompt_of_text_can_be_continued() -> None:
    assert obstacle(COMPLETIONS, {"prompt": ["a", "b"]}) == "prompt"
    assert obstacle(COMPLETIONS, {"prompt": [1, 2]}) == "prompt"
    assert obstacle(COMPLETIONS, CODE | {"suffix": "end"}) == "suffix"
    assert obstacle(EMBEDDINGS, {"input": "a"})


def test_a_chat_goes_on_with_its_last_message_open() -> None:
    asked = continued(CHAT, TALK | {"max_tokens": 10, "min_tokens": 2}, "Hello", 3)
    assert asked["messages"] == [*TALK["messages"], {"role": "assistant", "content": "Hello"}]
    assert (asked["continue_final_message"], asked["add_generation_prompt"]) == (True, False)
    assert (asked["max_tokens"], asked["min_tokens"]) == (7, 0)
    assert len(TALK["messages"]) == 1, "the client's own body is left alone"


def test_a_prefill_of_the_client_is_continued_in_the_same_message() -> None:
    last = {"role": "assistant", "content": "```python\nimport os"}
    body = {"messages": [*TALK["messages"], last], "continue_final_message": True}
    asked = continued(CHAT, body, "\nos.sep", 3)
    assert asked["messages"][-1]["content"] == "```python\nimport os\nos.sep"
    repeated = "```python\nimport os\nos.sep"
    assert opening(CHAT, body, repeated) == repeated, "a server that repeats it said it already"
    assert obstacle(CHAT, {**body, "messages": [{"role": "assistant", "content": [{}]}]})


def test_a_completion_goes_on_behind_its_prompt() -> None:
    asked = continued(COMPLETIONS, CODE | {"max_tokens": 9}, "oo():", 3)
    assert (asked["prompt"], asked["max_tokens"]) == ("def foo():", 6)


def test_the_limit_is_what_was_said_or_openais_own_for_completions() -> None:
    assert tokens_left(CHAT, TALK, 5) is None
    assert tokens_left(CHAT, TALK | {"max_completion_tokens": 8, "max_tokens": 9}, 5) == 3
    assert tokens_left(COMPLETIONS, CODE, 5) == 11
    assert tokens_left(COMPLETIONS, CODE, 20) is None, "so it was not 16"
    assert "max_tokens" not in continued(CHAT, TALK, "a", 1)
    assert continued(COMPLETIONS, CODE, "a", 6)["max_tokens"] == 10
    both = continued(CHAT, TALK | {"max_completion_tokens": 8, "max_tokens": 9}, "a", 5)
    assert (both["max_completion_tokens"], both["max_tokens"]) == (3, 3)
