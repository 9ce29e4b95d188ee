"""The mock's streams have vLLM's events: role, tokens, finish, usage when asked."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.testing.mock_text import DEFAULT_TEXT
from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)

Events = list[dict[str, Any]]


@pytest.fixture
def client(mock_vllm: MockVLLM) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mock_vllm.base_url, trust_env=False, verify=False) as client:
        yield client


def events(answer: httpx.Response) -> Events:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def stream(client: httpx.Client, **more: Any) -> Events:
    body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    return events(client.post("/chat/completions", json=body | more))


def deltas(chunks: Events, choice: int = 0) -> list[dict[str, Any]]:
    choices = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice]
    return [c["delta"] for c in choices]


def content(chunks: Events, choice: int = 0) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(chunks, choice))


def usages(chunks: Events) -> Events:
    return [chunk["usage"] for chunk in chunks if "usage" in chunk]


def test_a_stream_is_the_role_the_tokens_and_the_finish(client: httpx.Client) -> None:
    chunks = stream(client)
    assert deltas(chunks)[0] == {"role": "assistant", "content": ""}
    assert content(chunks) == DEFAULT_TEXT
    finishes = [chunk["choices"][0]["finish_reason"] for chunk in chunks]
    assert finishes == [None] * (len(chunks) - 1) + ["stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_the_deltas_that_were_scripted_are_the_deltas_that_come(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(Behaviour(deltas=("a", "", "b\n", "🙂")))
    assert [d["content"] for d in deltas(stream(client))[1:-1]] == ["a", "", "b\n", "🙂"]


def test_length_comes_with_the_last_token_and_not_after_it(client: httpx.Client) -> None:
    last = stream(client, max_tokens=2)[-1]["choices"][0]
    assert (last["delta"], last["finish_reason"]) == ({"content": " mock"}, "length")


def test_usage_comes_only_when_asked_in_a_chunk_without_choices(client: httpx.Client) -> None:
    assert usages(stream(client)) == []
    chunks = stream(client, stream_options={"include_usage": True})
    assert [chunk["choices"] for chunk in chunks if "usage" in chunk] == [[]]
    assert usages(chunks)[0]["completion_tokens"] == len(chunks) - 3


def test_continuous_usage_counts_up_in_every_chunk(client: httpx.Client) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    counted = [u["completion_tokens"] for u in usages(stream(client, stream_options=options))]
    assert counted[:4] == [0, 1, 2, 3]
    assert counted[-3:] == [13, 13, 13]


def test_continuous_usage_alone_is_not_enough(client: httpx.Client) -> None:
    options = {"include_usage": False, "continuous_usage_stats": True}
    assert usages(stream(client, stream_options=options)) == []


@pytest.mark.parametrize(
    ("usage", "asked", "times"),
    [("missing", True, 0), ("twice", True, 2), ("always", False, 1), ("on_finish", False, 1)],
)
def test_usage_misbehaves_as_scripted(
    mock_vllm: MockVLLM, client: httpx.Client, usage: Any, asked: bool, times: int
) -> None:
    mock_vllm.script(Behaviour(usage=usage))
    chunks = stream(client, stream_options={"include_usage": asked})
    assert len(usages(chunks)) == times
    if usage == "on_finish":
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_finish_reason_can_be_another_or_missing(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(Behaviour(finish_reason="content_filter"), Behaviour(finish_reason=None))
    assert stream(client)[-1]["choices"][0]["finish_reason"] == "content_filter"
    chunks = stream(client)
    assert {chunk["choices"][0]["finish_reason"] for chunk in chunks} == {None}
    assert content(chunks) == DEFAULT_TEXT


def test_ids_and_models_can_change_in_every_chunk(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(Behaviour(changing_ids=True))
    chunks = stream(client)
    assert len({chunk["id"] for chunk in chunks}) == len(chunks)
    assert len({chunk["model"] for chunk in chunks}) == len(chunks)


def test_tool_calls_stream_their_name_and_then_their_arguments(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    arguments = '{"q": "x y"}'
    mock_vllm.script(Behaviour(tool_calls=({"name": "find", "arguments": arguments},)))
    chunks = stream(client, stream_options={"include_usage": True})
    calls = [d["tool_calls"][0] for d in deltas(chunks) if "tool_calls" in d]
    assert calls[0]["function"] == {"name": "find", "arguments": ""}
    assert "".join(call["function"]["arguments"] for call in calls) == arguments
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert usages(chunks)[-1]["completion_tokens"] == len(calls)


def test_reasoning_streams_before_the_text(mock_vllm: MockVLLM, client: httpx.Client) -> None:
    mock_vllm.script(Behaviour(reasoning="I think", text="so"))
    kinds = [next(iter(delta)) for delta in deltas(stream(client))]
    assert kinds == ["role", "reasoning", "reasoning", "content", "content"]


def test_n_choices_stream_side_by_side(client: httpx.Client) -> None:
    chunks = stream(client, n=2, stream_options={"include_usage": True})
    assert [chunk["choices"][0]["index"] for chunk in chunks[:4]] == [0, 1, 0, 1]
    assert content(chunks, 0) == content(chunks, 1) == DEFAULT_TEXT
    assert usages(chunks)[-1]["completion_tokens"] == 26


def test_a_continued_stream_lacks_what_was_handed_over(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The mock sa"}]
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    assert content(stream(client, messages=messages, **flags)) == DEFAULT_TEXT[11:]


def test_a_completion_streams_its_text(client: httpx.Client) -> None:
    body = {"model": "mock", "prompt": "go", "stream": True, "echo": True}
    chunks = events(client.post("/completions", json=body))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "go" + DEFAULT_TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
