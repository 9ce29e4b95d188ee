"""Limits on input through a whole gateway: what is refused, and that no replica hears of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.domain.endpoints import ENDPOINTS
from gateway.plan import Fleet
from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.settings.limits import Limits
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful
from tests.web.clients import MESSAGES, chat, connect, metric, request

CHAT = "/v1/chat/completions"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
WINDOW = 2000
SETTINGS = forgetful(
    limits=Limits.model_validate({"models": {"m": {"allow": ["chat_template_kwargs.thinking"]}}}),
)


@pytest.fixture(scope="module")
def _one() -> Iterator[tuple[ServedGateway, MockVLLM]]:
    with (
        MockVLLM.start(model="m", max_model_len=WINDOW) as mock,
        ServedGateway(fleet_on([mock.base_url]), SETTINGS) as served,
    ):
        yield served, mock


@pytest.fixture
def one(_one: tuple[ServedGateway, MockVLLM]) -> tuple[ServedGateway, MockVLLM]:
    """A gateway on one replica, shared by all tests; the replica is as new."""
    _one[1].renew()
    return _one


def post(gateway: ServedGateway, raw: bytes, path: str = CHAT, **headers: str) -> httpx.Response:
    kind = {"content-type": "application/json"}
    return httpx.post(f"{gateway.url}{path}", content=raw, headers=kind | headers)


def asked(mock: MockVLLM) -> list[Any]:
    """The bodies that the replica got to generate from."""
    return [one.body for one in mock.requests() if one.path in {row.path for row in ENDPOINTS}]


def messages(content: Any, role: str = "user") -> list[dict[str, Any]]:
    return [{"role": "user", "content": "hi"}, {"role": role, "content": content}]


def image(url: Any) -> dict[str, Any]:
    return {"messages": messages([{"type": "image_url", "image_url": {"url": url}}])}


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"not": value}
    return value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 10_000_000}, "n"),
    "n as text": ({"n": "500"}, "n"),
    "best_of": ({"best_of": 999}, "best_of"),
    "max_tokens": ({"max_tokens": 10**12}, "max_tokens"),
    "min_tokens": ({"min_tokens": 10**12}, "min_tokens"),
    "top_logprobs": ({"logprobs": True, "top_logprobs": 5000}, "top_logprobs"),
    "prompt_logprobs": ({"prompt_logprobs": 20}, "prompt_logprobs"),
    "stop": ({"stop": ["a"] * 1000}, "stop"),
    "logit_bias": ({"logit_bias": {str(i): 1 for i in range(5000)}}, "logit_bias"),
    "tools": ({"tools": [{"type": "function"}] * 500}, "tools"),
    "tool schema": (
        {"tools": [{"type": "function", "function": {"parameters": {"type": "strin"}}}]},
        "tools[0].function.parameters.type",
    ),
    "format": (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": deep(40)}}},
        "response_format.json_schema.schema",
    ),
    "guided_json": ({"guided_json": '{"type": "x"}'}, "guided_json.type"),
    "guided_regex": ({"guided_regex": "((a{999}){999}){999}"}, "guided_regex"),
    "guided_grammar": ({"guided_grammar": "x" * 10**6}, "guided_grammar"),
    "structured_outputs": ({"structured_outputs": {"regex": "("}}, "structured_outputs.regex"),
    "chat_template": ({"chat_template": "{% for a in range(9**9) %}{% endfor %}"}, "chat_template"),
    "kwargs": (
        {"chat_template_kwargs": {"chat_template": "x"}},
        "chat_template_kwargs.chat_template",
    ),
    "documents": ({"documents": [{}]}, "documents"),
    "processor": ({"mm_processor_kwargs": {"size": 10**9}}, "mm_processor_kwargs"),
    "logits": ({"logits_processors": ["os.system"]}, "logits_processors"),
    "xargs": ({"vllm_xargs": {"a": 1}}, "vllm_xargs"),
    "kv": ({"kv_transfer_params": {"remote_host": "h"}}, "kv_transfer_params"),
    "embeds": ({"prompt_embeds": "AAAA"}, "prompt_embeds"),
    "truncate": ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
    "allowed": ({"allowed_token_ids": [1]}, "allowed_token_ids"),
    "salt": ({"cache_salt": "other-team"}, "cache_salt"),
    "priority": ({"priority": -9}, "priority"),
    "special": ({"add_special_tokens": False}, "add_special_tokens"),
    "base": ({"api_base": "http://evil.test"}, "api_base"),
    "key": ({"api_key": "sk-mine"}, "api_key"),
    "fallbacks": ({"fallbacks": ["other"]}, "fallbacks"),
    "mock": ({"mock_response": "hi"}, "mock_response"),
    "unknown": ({"max_token": 5}, "max_token"),
    "metadata": (image("http://169.254.169.254/"), "messages[1].content[0].image_url.url"),
    "file": (image("file:///etc/passwd"), "messages[1].content[0].image_url.url"),
    "tool image": (
        {"messages": messages([{"image_url": "http://10.0.0.1/a.png"}], role="tool")},
        "messages[1].content[0].image_url",
    ),
    "media": (image(PIXEL + "A" * 30_000_000), "messages[1].content[0].image_url.url"),
    "messages": ({"messages": MESSAGES * 5000}, "messages"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_no_replica_sees_what_is_refused(one: tuple[ServedGateway, MockVLLM], case: str) -> None:
    gateway, mock = one
    fields, param = REFUSED[case]
    before = metric(gateway, "gw_requests_total", outcome="refused")
    answer = post(gateway, json.dumps(chat(stream=False) | fields).encode())
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert error["type"] == "invalid_request_error"
    assert asked(mock) == []
    assert metric(gateway, "gw_requests_total", outcome="refused") == before + 1


def test_a_refusal_is_recorded(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, _ = one
    raw = json.dumps(chat(stream=False, n=999)).encode()
    post(gateway, raw, **{"x-request-id": "too-many"})
    (record,) = httpx.get(f"{gateway.url}/requests/too-many").json()["data"]
    assert "integer_above_max_value" in json.dumps(record)


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/completions", {"prompt": ["x"] * 1000}, "prompt"),
        ("/v1/completions", {"prompt": ["x"] * 100, "n": 16}, "n"),
        ("/v1/completions", {"prompt": "x", "logprobs": 500}, "logprobs"),
        ("/v1/embeddings", {"input": ["x"] * 3000}, "input"),
        ("/v1/embeddings", {"input": "x", "messages": messages([image(1)])}, "messages"),
    ],
)
def test_each_endpoint_has_its_bounds(
    one: tuple[ServedGateway, MockVLLM], path: str, fields: dict[str, Any], param: str
) -> None:
    gateway, mock = one
    answer = post(gateway, json.dumps({"model": "m", **fields}).encode(), path)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"].startswith(param)
    assert asked(mock) == []


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"messages": messages("word " * 9000)}),
        (CHAT, {"messages": messages("x" * 300_000)}),
        ("/v1/completions", {"prompt": "word " * 9000}),
        ("/v1/completions", {"prompt": [1] * (WINDOW + 1)}),
        ("/v1/embeddings", {"input": ["short", [1] * (WINDOW + 1)]}),
    ],
)
def test_a_prompt_longer_than_the_window_is_a_413_before_the_replica_sees_it(
    one: tuple[ServedGateway, MockVLLM], path: str, fields: dict[str, Any]
) -> None:
    gateway, mock = one
    answer = post(gateway, json.dumps({"model": "m", **fields}).encode(), path)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (413, "context_length_exceeded")
    assert f"maximum context length is {WINDOW} tokens" in error["message"]
    assert asked(mock) == []


def test_a_prompt_that_is_too_long_does_not_wait_for_a_slot_to_hear_it(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m", max_model_len=WINDOW)
    mock.script(Behaviour(deltas=("a", "b"), stall_after=1))
    busy = Settings(queue={"slots_per_replica": 1, "size": 0})  # type: ignore[arg-type]
    with (
        ServedGateway(fleet_on([mock.base_url]), busy) as gateway,
        httpx.stream("POST", f"{gateway.url}{CHAT}", json=chat()) as holding,
    ):
        pieces = holding.iter_bytes()  # let go, it would close the connection
        next(pieces)
        assert post(gateway, json.dumps(chat(stream=False)).encode()).status_code == 429
        long = chat(stream=False) | {"messages": messages("word " * 9000)}
        assert post(gateway, json.dumps(long).encode()).status_code == 413


def test_a_prompt_that_is_too_long_for_one_model_goes_to_its_context_window_fallback(
    mock_vllm_factory: MockFleet,
) -> None:
    small = mock_vllm_factory(model="m", max_model_len=WINDOW)
    large = mock_vllm_factory(model="big", max_model_len=100_000)
    deployments = tuple(
        Deployment(name, f"{name}0", {"model": f"hosted_vllm/{name}", "api_base": mock.base_url})
        for name, mock in (("m", small), ("big", large))
    )
    rules = {"context_window_fallbacks": [{"m": ["big"]}]}
    with ServedGateway(Fleet("file", LiteLLMConfig(deployments, rules, {}, "test"))) as gateway:
        fields = {"messages": messages("word " * 9000)}
        answer = post(gateway, json.dumps(chat(stream=False) | fields).encode())
        assert answer.status_code == 200
        assert answer.headers["x-gateway-replica"] == "big0"
    assert asked(small) == []


def test_what_real_clients_send_arrives_as_it_was_sent(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    tool = {
        "type": "function",
        "function": {
            "name": "look",
            "strict": True,
            "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
        },
    }
    schema = {"name": "a", "strict": True, "schema": {"type": "object", "properties": {}}}
    asking: dict[str, Any] = {
        "messages": messages(
            [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
        ),
        "tools": [tool],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "logprobs": True,
        "top_logprobs": 3,
        "n": 2,
        "seed": 7,
        "logit_bias": {"50256": -100},
        "user": "u",
        "metadata": {"a": "b"},
        "store": False,
        "reasoning_effort": "low",
        "service_tier": "auto",
        "max_completion_tokens": 50,
        "temperature": 0.1,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.1,
        "stop": ["\n", "END"],
        "verbosity": "low",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "extra_body": {
            "top_k": 5,
            "min_p": 0.1,
            "repetition_penalty": 1.1,
            "chat_template_kwargs": {"thinking": True},
            "skip_special_tokens": True,
            "structured_outputs": None,
        },
    }
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as api:
        assert len(api.chat.completions.create(model="m", **asking).choices) == 2
        streamed = api.chat.completions.create(
            model="m", stream=True, stream_options={"include_usage": True}, **asking
        )
        assert list(streamed)
    sent = {**asking, **asking["extra_body"], "model": "m"}
    del sent["extra_body"]
    first, second = asked(mock)
    assert first == sent
    assert {name: second[name] for name in sent} == sent


def test_what_an_operator_fixes_is_not_measured(mock_vllm_factory: MockFleet) -> None:
    mock = mock_vllm_factory(model="m")
    fixed = {"extra_body": {"chat_template_kwargs": {"a": 1}, "priority": 3}, "n": 99}
    params = {"model": "hosted_vllm/m", "api_base": mock.base_url, **fixed}
    config = LiteLLMConfig((Deployment("m", "r0", params),), {}, {}, "test")
    with ServedGateway(Fleet("file", config), SETTINGS) as gateway:
        post(gateway, json.dumps(chat(stream=False)).encode())
    (body,) = asked(mock)
    assert (body["chat_template_kwargs"], body["priority"], body["n"]) == ({"a": 1}, 3, 99)


def test_what_is_checked_is_what_the_replica_gets(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    raw = json.dumps(chat(stream=False)).encode()
    twice = raw.replace(b"{", b'{"n": 1000, "user": "a", "n": 1, "user": "b", ', 1)
    assert post(gateway, twice).status_code == 200
    (body,) = asked(mock)
    assert (body["n"], body["user"]) == (1, "b")
    mock.reset()
    assert post(gateway, raw.replace(b"{", b'{"n": 1, "n": 1000, ', 1)).status_code == 400
    assert asked(mock) == []


@pytest.fixture(scope="module")
def locked() -> Iterator[ServedGateway]:
    """A gateway that wants keys. Its replica is never asked."""
    teams = (Team(name="a", keys=(KeyHash(id="k", sha256=hash_key("gw-right")),)),)
    with ServedGateway(fleet_on(["http://127.0.0.1:9/v1"]), forgetful(teams=teams)) as served:
        yield served


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"[" * 10_000,
        json.dumps(chat(n=999)).encode(),
        json.dumps(chat(chat_template="x")).encode(),
    ],
    ids=str.split("broken deep many guarded"),
)
def test_without_a_key_nothing_is_learnt_but_that_one_is_needed(
    locked: ServedGateway, raw: bytes
) -> None:
    answer = post(locked, raw, authorization="Bearer gw-wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions/.",
        "/v1/chat/completions/../completions/x",
        "/v1/../v1/chat/completions",
        "/./v1/chat/completions",
        "/v1/chat/completions;x",
        "/v1/chat%2fcompletions/..",
        "/V1/chat/completions",
        "/v1/chat/completions%00",
        "/v1/chat/completions%20",
        "/v1/%2e%2e/metrics",
        "/v1/load_lora_adapter",
        "/v1/tokenize",
        "/tokenize",
        "/invocations",
        "/pause",
        "/sleep",
        "/collective_rpc",
        "/v1/score",
    ],
)
def test_a_path_that_is_not_in_the_table_reaches_nobody(
    one: tuple[ServedGateway, MockVLLM], path: str
) -> None:
    gateway, mock = one
    with connect(gateway) as plug:
        plug.settimeout(10)
        plug.sendall(request(path, chat(stream=False, n=999), connection="close"))
        answer = b"".join(iter(lambda: plug.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"route_not_found" in answer
    assert asked(mock) == []


@pytest.mark.parametrize(
    "path", ["/v1/chat%2fcompletions", "/v1/%63hat/completions", "/v1/chat/completions?x=/.."]
)
@pytest.mark.parametrize("key", ["gw-right", "gw-wrong"])
def test_a_path_written_in_another_way_skips_nothing(
    locked: ServedGateway, path: str, key: str
) -> None:
    with connect(locked) as plug:
        plug.settimeout(10)
        body = chat(stream=False, n=999)
        plug.sendall(request(path, body, connection="close", x_api_key=key))
        answer = b"".join(iter(lambda: plug.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 400 " if key == "gw-right" else b"HTTP/1.1 401 ")


NASTY = [
    b"",
    b"null",
    b"{}",
    b'{"model": "m", "messages": [[]]}',
    b'{"model": "m", "messages": [{"role": "user", "content": [[[]]]}]}',
    b'{"model": "m", "messages": [{"role": "user", "content": {"a": [3]}}]}',
    b'{"model": "m", "messages": [{"role": "user", "content": "\\u0000"}], "stop": "\\u0000"}',
    b'{"model": "m\\r\\nx: y", "messages": [{"role": "user", "content": "x"}]}',
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 1e300}',
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": -0}',
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "": 1}',
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": [{"function": []}]}',
    b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "guided_json": "[[["}',
    b"[" * 10_000,
    b'{"model": ' * 10_000,
    b'{"model": "m", "n": ' + b"9" * 10_000 + b"}",
    b"\xff\xfe\x00",
    b'\xef\xbb\xbf{"model": "m"}',
]


@pytest.mark.parametrize("raw", NASTY, ids=range(len(NASTY)))
def test_no_bytes_whatever_are_an_error_of_ours(
    one: tuple[ServedGateway, MockVLLM], raw: bytes
) -> None:
    assert post(one[0], raw).status_code < 500
