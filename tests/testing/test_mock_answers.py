"""The mock answers each of vLLM's paths in vLLM's shape; seen by real HTTP clients."""

import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.testing.mock_text import DEFAULT_TEXT
from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)


@pytest.fixture
def client(mock_vllm: MockVLLM) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mock_vllm.url, trust_env=False, verify=False) as client:
        yield client


def ask(client: httpx.Client, **more: Any) -> httpx.Response:
    body = {"model": "mock", "messages": [{"role": "user", "content": "hello there"}], **more}
    return client.post("/v1/chat/completions", json=body)


def complete(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post("/v1/completions", json={"model": "mock", "prompt": "one two", **more})


def test_a_chat_answer_has_the_text_and_its_usage(client: httpx.Client) -> None:
    answer = ask(client).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["message"]["content"] == DEFAULT_TEXT
    assert answer["choices"][0]["finish_reason"] == "stop"
    used = answer["usage"]
    assert used["total_tokens"] == used["prompt_tokens"] + used["completion_tokens"]


def test_the_request_id_becomes_part_of_the_response_id(client: httpx.Client) -> None:
    client.headers["X-Request-Id"] = "abc"
    assert ask(client).json()["id"] == "chatcmpl-abc"
    assert complete(client).json()["id"] == "cmpl-abc"


def test_requests_without_an_id_get_different_ones(client: httpx.Client) -> None:
    assert ask(client).json()["id"] != ask(client).json()["id"]


def test_a_completion_answer_has_the_text(client: httpx.Client) -> None:
    answer = complete(client).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"][0]["text"] == DEFAULT_TEXT


def test_a_completion_echoes_each_of_its_prompts_when_asked(client: httpx.Client) -> None:
    answer = complete(client, prompt=["a", "b"], echo=True).json()
    assert [c["text"] for c in answer["choices"]] == ["a" + DEFAULT_TEXT, "b" + DEFAULT_TEXT]
    assert [c["index"] for c in answer["choices"]] == [0, 1]


def test_n_choices_are_n_answers_and_all_their_tokens_count(client: httpx.Client) -> None:
    one, three = ask(client).json(), ask(client, n=3).json()
    assert len(three["choices"]) == 3
    assert three["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]


def test_usage_can_be_missing_and_can_tell_of_cached_tokens(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(Behaviour(usage="missing"), Behaviour(cached_tokens=3))
    assert "usage" not in ask(client).json()
    assert ask(client).json()["usage"]["prompt_tokens_details"] == {"cached_tokens": 3}


def test_tool_calls_and_reasoning_are_where_vllm_has_them(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    call = {"name": "find", "arguments": '{"q": "x"}'}
    mock_vllm.script(Behaviour(tool_calls=(call,), reasoning="let me see"))
    choice = ask(client).json()["choices"][0]
    assert choice["message"]["tool_calls"][0]["function"] == call
    assert choice["message"]["content"] is None
    assert choice["message"]["reasoning"] == "let me see"
    assert choice["finish_reason"] == "tool_calls"


def test_reasoning_goes_by_its_older_name_when_told(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(Behaviour(reasoning="hm", reasoning_key="reasoning_content"))
    assert ask(client).json()["choices"][0]["message"]["reasoning_content"] == "hm"


def test_a_continued_answer_lacks_what_was_handed_over(client: httpx.Client) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "The mock"}]
    flags = {"continue_final_message": True, "add_generation_prompt": False}
    message = ask(client, messages=messages, **flags).json()["choices"][0]["message"]
    assert message["role"] == "assistant"
    assert "The mock" + message["content"] == DEFAULT_TEXT


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"model": "other"}, 404, "The model `other` does not exist."),
        ({"messages": []}, 400, "at least one message"),
        ({"messages": ["hi"]}, 400, "an object with a role"),
        ({"messages": None}, 400, "a list"),
        ({"continue_final_message": True}, 400, "Cannot set both `continue_final_message`"),
        ({"stream_options": {}, "stream": False}, 200, ""),
        ({"stream_options": {"include_usage": True}}, 400, "only be defined when `stream=True`"),
        ({"max_tokens": 0}, 400, "max_tokens must be at least 1"),
        ({"n": "two"}, 400, "n must be at least 1"),
        ({"max_tokens": 4096}, 400, "maximum context length is 4096 tokens"),
    ],
)
def test_what_vllm_refuses_the_mock_refuses(
    client: httpx.Client, more: dict[str, Any], status: int, says: str
) -> None:
    answer = ask(client, **more)
    assert answer.status_code == status
    if status != 200:
        assert says in answer.json()["error"]["message"]
        assert answer.json()["error"]["code"] == status


def test_a_body_that_is_not_json_is_refused(client: httpx.Client) -> None:
    assert client.post("/v1/completions", content=b"{").status_code == 400
    assert client.post("/v1/completions", json={"model": "mock"}).status_code == 400


def test_a_request_that_the_mock_does_not_understand_is_a_500_and_not_a_hang(
    client: httpx.Client,
) -> None:
    answer = client.post("/v1/embeddings", json={"input": ["a"], "dimensions": "many"})
    assert answer.status_code == 500
    assert "does not understand" in answer.json()["error"]["message"]


def test_unknown_paths_and_methods_are_refused_as_fastapi_does(client: httpx.Client) -> None:
    assert client.get("/v1/nothing").status_code == 404
    assert client.get("/v1/chat/completions").status_code == 405


def test_embeddings_depend_on_the_text_alone(client: httpx.Client) -> None:
    def embed(*texts: str, **more: Any) -> list[Any]:
        body = {"model": "mock", "input": list(texts), **more}
        rows = client.post("/v1/embeddings", json=body).json()["data"]
        return [row["embedding"] for row in rows]

    one, other = embed("a", "b", dimensions=16)
    assert [one] == embed("a", dimensions=16)
    assert one != other
    assert len(one) == 16
    assert math.isclose(sum(x * x for x in one), 1.0)
    packed = base64.b64decode(embed("a", dimensions=16, encoding_format="base64")[0])
    assert struct.unpack("<16f", packed) == pytest.approx(one, abs=1e-6)


def test_models_tell_their_longest_context(mock_vllm_factory: Any) -> None:
    mock = mock_vllm_factory(model=("big", "small"), max_model_len=99)
    cards = httpx.get(f"{mock.base_url}/models", trust_env=False, verify=False).json()["data"]
    assert [(card["id"], card["max_model_len"]) for card in cards] == [("big", 99), ("small", 99)]


def test_a_star_serves_any_model_by_its_own_name(mock_vllm_factory: Any) -> None:
    mock = mock_vllm_factory(model="*")
    with httpx.Client(base_url=mock.url, trust_env=False, verify=False) as client:
        assert ask(client, model="whatever").json()["model"] == "whatever"


def test_tokenize_counts_a_prompt_and_a_conversation(client: httpx.Client) -> None:
    def count(**body: Any) -> dict[str, Any]:
        answer: dict[str, Any] = client.post("/tokenize", json={"model": "mock", **body}).json()
        return answer

    counted = count(prompt="one two", return_token_strs=True)
    assert counted["count"] == len(counted["tokens"]) == 2
    assert counted["token_strs"] == ["one", " two"]
    assert counted["max_model_len"] == 4096
    messages = [{"role": "user", "content": "hello there"}]
    assert count(messages=messages)["count"] == ask(client).json()["usage"]["prompt_tokens"]


def test_health_and_version_answer(client: httpx.Client) -> None:
    health = client.get("/health")
    assert (health.status_code, health.content) == (200, b"")
    assert "version" in client.get("/version").json()


def test_the_official_client_reads_answers_and_streams(mock_vllm: MockVLLM) -> None:
    plain = httpx.Client(trust_env=False, verify=False)
    with openai.OpenAI(base_url=mock_vllm.base_url, api_key="none", http_client=plain) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        answer = client.chat.completions.create(model="mock", messages=messages)
        assert answer.choices[0].message.content == DEFAULT_TEXT
        stream = client.chat.completions.create(model="mock", messages=messages, stream=True)
        assert "".join(c.choices[0].delta.content or "" for c in stream) == DEFAULT_TEXT
        vectors = client.embeddings.create(model="mock", input=["a", "b"])
        assert len(vectors.data) == 2
        assert client.models.list().data[0].id == "mock"
