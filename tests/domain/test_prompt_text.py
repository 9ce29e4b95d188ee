"""How long a prompt is: what of a request counts, and what its length alone says of its tokens."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint
from gateway.domain.prompt_text import LONGEST_TOKEN, Prompt, prompts_of


@pytest.mark.parametrize(
    ("endpoint", "body", "prompts"),
    [
        (
            CHAT,
            {
                "messages": [
                    {"role": "system", "content": "a"},
                    {"role": "user", "content": [{"type": "text", "text": "b"}, "c", {"i": 1}]},
                    {"role": "assistant", "content": "<think>long</think>d"},
                    {"role": "assistant", "content": None},
                    {"role": "tool", "content": {"text": "e"}},
                    "f",
                ]
            },
            [Prompt("a\nb\nc\nd\ne")],
        ),
        (CHAT, {"messages": None}, [Prompt("")]),
        (COMPLETIONS, {"prompt": "a"}, [Prompt("a")]),
        (COMPLETIONS, {"prompt": ["a", [1, 2]]}, [Prompt("a"), Prompt(tokens=2)]),
        (COMPLETIONS, {"prompt": [1, 2, 3]}, [Prompt(tokens=3)]),
        (EMBEDDINGS, {"input": ["a", "b"]}, [Prompt("a"), Prompt("b")]),
        (EMBEDDINGS, {"input": []}, []),
        (EMBEDDINGS, {"input": 3}, []),
    ],
)
def test_what_must_fit_into_the_window(
    endpoint: Endpoint, body: dict[str, Any], prompts: list[Prompt]
) -> None:
    assert prompts_of(endpoint, body) == prompts


def test_a_text_has_at_most_a_token_for_each_byte_and_at_least_one_for_the_longest() -> None:
    assert Prompt("abc").most == 3
    assert Prompt("한글").most >= len("한글".encode())
    assert Prompt(" " * LONGEST_TOKEN * 5).least == 5
    assert Prompt("x" * 300).likely == 100
    assert Prompt("한글").likely == 2
    exact = Prompt(tokens=7)
    assert (exact.least, exact.likely, exact.most) == (7, 7, 7)
