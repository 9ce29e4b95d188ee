"""Calls and what is said of them."""

from __future__ import annotations

import pytest

from gateway.domain.call import PromptRef, Usage
from gateway.testing.fakes import a_call


def test_a_call_never_shows_its_key() -> None:
    call = a_call()
    call.credential = "sk-gw-secret"
    assert "sk-gw-secret" not in repr(call)


def test_a_calls_route_is_its_endpoints_path_unless_said_otherwise() -> None:
    assert a_call().route == "/v1/chat/completions"


def test_a_prompt_is_named_with_version_and_hash() -> None:
    assert (
        str(PromptRef("code/explain", "1.0.0", "abcdef012345")) == "code/explain@1.0.0+abcdef012345"
    )


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2, 0)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}, Usage(3, 0, 1)),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(3, 0, 0)),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": "3"}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage_is_read_and_never_guessed(usage: object, read: Usage | None) -> None:
    assert Usage.read(usage) == read
