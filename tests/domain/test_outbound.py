"""What of a client's request goes out to a provider, and what never does."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS
from gateway.domain.outbound import NotOutbound, goes_out, outbound

HI = {"role": "user", "content": "hi"}
DATA = "data:image/png;base64,AAAA"


def chat(**body: Any) -> dict[str, Any]:
    return {"model": "m", "stream": True, "messages": [HI], **body}


def sent(part: dict[str, Any]) -> Any:
    body = chat(messages=[{"role": "user", "content": [part]}])
    return outbound(CHAT, body).fields["messages"][0]["content"][0]


def test_openais_fields_go_and_all_others_stay() -> None:
    going = outbound(CHAT, chat(temperature=0, api_base="http://x", top_k=3))
    assert going.fields == {"messages": [HI], "temperature": 0}
    assert going.dropped == ("api_base", "top_k")


def test_few_of_the_dropped_names_are_told_and_none_is_long() -> None:
    many = {f"field-{number}-{'x' * 100}": 1 for number in range(50)}
    dropped = outbound(CHAT, chat(**many)).dropped
    assert len(dropped) == 8
    assert max(map(len, dropped)) == 40


def test_an_answer_that_is_begun_is_left_out() -> None:
    begun = [HI, {"role": "assistant", "content": "<file>"}]
    assert outbound(CHAT, chat(messages=begun)).fields["messages"] == begun
    going = outbound(CHAT, chat(messages=begun, continue_final_message=True))
    assert going.fields["messages"] == [HI]


def test_messages_have_only_openais_own_keys() -> None:
    going = outbound(CHAT, chat(messages=[{**HI, "images": ["http://x"], "name": "n"}]))
    assert going.fields["messages"] == [{**HI, "name": "n"}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "see http://example.org"},
        {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a"}},
    ],
    ids=lambda part: part["type"],
)
def test_parts_that_hold_their_own_data_go(part: dict[str, Any]) -> None:
    assert sent({**part, "cache_control": {}}) == part


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://10.0.0.1/a.png"}},
        {"type": "image_url", "image_url": "file:///etc/passwd"},
        {"type": "input_audio", "input_audio": {"data": "http://10.0.0.1/a", "format": "wav"}},
        {"type": "file", "file": {"file_id": "http://10.0.0.1/a"}},
        {"type": "file", "file": {"file_data": "gs://bucket/a"}},
        {"type": "video_url", "video_url": {"url": DATA}},
        {"type": "document", "source": {"type": "url", "url": "http://10.0.0.1"}},
        "text",
        {"text": "no type"},
    ],
)
def test_what_would_have_to_be_fetched_is_refused(part: Any) -> None:
    with pytest.raises(NotOutbound):
        sent(part)


@pytest.mark.parametrize(
    "body",
    [
        chat(tools=[{"type": "mcp", "server_url": "http://10.0.0.1"}]),
        chat(tools={"type": "function"}),
        chat(messages=["hi"]),
        chat(messages=[{"role": "user", "content": {"type": "image_url"}}]),
    ],
)
def test_tools_that_a_provider_runs_and_strange_messages_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(NotOutbound):
        outbound(CHAT, body)


def test_completions_do_not_go_out() -> None:
    assert goes_out(CHAT)
    assert goes_out(EMBEDDINGS)
    assert not goes_out(COMPLETIONS)
