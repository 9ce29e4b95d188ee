"""A rendering looked at: tokens by message and input, and the prefix that a cache keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_preview import estimate, made, shared_length
from gateway.adapters.prompts import load
from tests.adapters.prompt_folders import folder


def test_tokens_are_told_for_each_message_and_each_input_that_has_text(tmp_path: Path) -> None:
    loaded = load(folder(tmp_path)).loaded("code/x")

    shown = made(loaded, {"code": "abc"}, len)

    assert shown.tokens == tuple(len(one["content"]) for one in shown.rendered.messages)
    assert shown.inputs == {"code": 3}
    assert shown.as_dict()["tokens"] == {"messages": sum(shown.tokens), "inputs": {"code": 3}}
    assert shown.as_dict()["prompt"]["name"] == "code/x"


def test_the_prefix_ends_where_the_most_volatile_input_begins(tmp_path: Path) -> None:
    loaded = load(folder(tmp_path)).loaded("code/x")

    one, two = (made(loaded, {"code": "C", "ask": ask}, len).prefix for ask in ("0why", "how"))

    assert one == two
    assert one.until == "ask"
    assert made(loaded, {"code": "D", "ask": "how"}, len).prefix.sha != one.sha


@pytest.mark.parametrize(
    ("one", "two", "length"), [("", "", 0), ("ab", "abc", 2), ("xab", "yab", 0), ("ab", "ac", 1)]
)
def test_a_shared_beginning(one: str, two: str, length: int) -> None:
    assert shared_length(one, two) == length


def test_an_estimate_counts_bytes() -> None:
    assert (estimate(""), estimate("abcd"), estimate("abcde"), estimate("한국")) == (0, 1, 2, 2)
