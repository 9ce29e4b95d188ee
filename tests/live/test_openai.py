"""/v1/* on real vLLM with OpenAI's own client: what the replica says arrives as it was said."""

from __future__ import annotations

import re
from typing import Any

import openai
import pytest

from tests.live.fronted import CHAT, GREEDY, MODEL, ask
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand

pytestmark = pytest.mark.live

# What differs from one request to the next on one and the same server: its id, the time, and how
# much of the prompt was in the cache.
_OF_THE_MOMENT = re.compile(
    r'"(?:id":"[^"]*"|created":\d+|prompt_tokens_details":(?:null|\{[^}]*\}))'
)


def timeless(text: str) -> str:
    return _OF_THE_MOMENT.sub("", text)


def test_a_chat_answers_as_the_replica_itself_does(
    client: openai.OpenAI, vllm_replicas: tuple[Replica, ...]
) -> None:
    asked: dict[str, Any] = {"messages": CHAT, "max_tokens": 16, **GREEDY}
    through = client.chat.completions.create(model=MODEL, **asked)
    replica = vllm_replicas[0]
    direct = ask(replica.base_url, "/chat/completions", {"model": replica.model, **asked}).json()
    assert through.choices[0].message.content == direct["choices"][0]["message"]["content"]
    assert through.usage is not None
    assert through.usage.prompt_tokens == direct["usage"]["prompt_tokens"]
    assert through.usage.completion_tokens == direct["usage"]["completion_tokens"]


def test_a_stream_says_the_same_and_ends_in_a_real_finish_and_the_usage(
    client: openai.OpenAI,
) -> None:
    asked: dict[str, Any] = {"model": MODEL, "messages": CHAT, "max_tokens": 16, **GREEDY}
    whole = client.chat.completions.create(**asked)
    usage = {"include_usage": True}
    *chunks, last = client.chat.completions.create(**asked, stream=True, stream_options=usage)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason
    assert (last.choices, last.usage is None, whole.usage is None) == ([], False, False)
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    assert last.usage.prompt_tokens == whole.usage.prompt_tokens


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=str)
def test_the_bytes_of_a_stream_are_the_replicas_own(
    gateway: ServedCommand, vllm_replicas: tuple[Replica, ...], options: dict[str, Any]
) -> None:
    asked = {"messages": CHAT, "max_tokens": 8, "stream": True, **GREEDY, **options}
    replica = vllm_replicas[0]
    direct = ask(replica.base_url, "/chat/completions", {"model": replica.model, **asked})
    through = ask(gateway.url, "/v1/chat/completions", {"model": MODEL, **asked})
    expected = timeless(direct.text)
    if not options:
        # The gateway asks for the usage all the same and keeps that event to itself. vLLM writes
        # its fingerprint into the last event only, and that is the one.
        expected = re.sub(r',"system_fingerprint":"[^"]*"', "", expected)
    assert timeless(through.text) == expected
    assert through.text.endswith("data: [DONE]\n\n")
    assert ('"usage":{' in through.text) is bool(options)
    assert through.headers["content-type"].startswith("text/event-stream")


def test_completions_stream_too(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": MODEL, "prompt": "def add(a, b):", "max_tokens": 8, **GREEDY}
    whole = client.completions.create(**asked)
    chunks = client.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text


def test_an_unknown_model_is_openais_404(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="GET /v1/models") as caught:
        client.chat.completions.create(model="nope", messages=CHAT)
    assert caught.value.code == "model_not_found"
    assert caught.value.request_id


def test_a_mistake_is_told_in_vllms_own_words(
    client: openai.OpenAI, vllm_replicas: tuple[Replica, ...]
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=CHAT, temperature=-3)
    replica = vllm_replicas[0]
    wrong = {"model": replica.model, "messages": CHAT, "temperature": -3}
    direct = ask(replica.base_url, "/chat/completions", wrong)
    assert direct.status_code == 400
    said = direct.json()["error"]["message"]
    assert "temperature" in said
    assert caught.value.body is not None
    assert caught.value.body["message"] == said  # type: ignore[index]
    assert caught.value.request_id


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_too_long_a_prompt_is_known_by_openais_code(client: openai.OpenAI, stream: bool) -> None:
    long: Any = [{"role": "user", "content": "word " * 4000}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=MODEL, messages=long, stream=stream)
    assert (caught.value.status_code, caught.value.code) == (413, "context_length_exceeded")


def test_a_model_without_embeddings_says_so(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=MODEL, input="hello")
    assert caught.value.code == "unsupported_by_model"
