"""Fallbacks to providers that speak their own API, through real sockets and the real LiteLLM."""

from __future__ import annotations

import json
import logging
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway
from tests.provider_server import Plan, ProviderServer
from tests.web.clients import chat, connect, eventually, metric, request

KEY = "sk-ant-not-for-anybody"
PATH = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
QUICK = Settings(
    retries={"limit": 1, "backoff_s": (0.01,)},  # type: ignore[arg-type]
    timeouts={"first_token_s": 0.6, "total_s": 5, "idle_s": 0.3},  # type: ignore[arg-type]
)
PATIENT = Settings(retries={"limit": 0})  # type: ignore[arg-type]
MODELS = {"claude": "anthropic/claude-sonnet-4-5", "llama": "ollama_chat/llama3"}
# The promise. A machine that is busy with other things may miss it once, not as a rule.
PROMPT = 0.1
TIMES = 5


class House:
    """A gateway with one vLLM for `m`, and two providers of which `claude` is its fallback."""

    def __init__(self, gateway: ServedGateway, mock: MockVLLM, provider: ProviderServer) -> None:
        self.gateway, self.mock, self.provider = gateway, mock, provider
        self.http = httpx.Client(timeout=30, base_url=gateway.url)

    def ask(self, model: str = "m", path: str = PATH, **body: Any) -> httpx.Response:
        return self.http.post(path, json={"model": model, "messages": MESSAGES, **body})

    def openai(self) -> openai.OpenAI:
        url = f"{self.gateway.url}/v1"
        return openai.OpenAI(base_url=url, api_key="none", http_client=self.http, max_retries=0)


Open = Callable[..., House]


@pytest.fixture
def open_house(mock_vllm_factory: MockFleet) -> Iterator[Open]:
    entered: list[ProviderServer | ServedGateway] = []
    clients: list[httpx.Client] = []

    def build(settings: Settings = QUICK, **router: Any) -> House:
        provider = ProviderServer()
        entered.append(provider.__enter__())
        mock = mock_vllm_factory(model="m")
        params = {"api_base": provider.url, "api_key": KEY}
        models = [Deployment("m", "r0", {"model": "hosted_vllm/m", "api_base": mock.base_url})]
        models += [Deployment(n, n, {"model": name, **params}) for n, name in MODELS.items()]
        rules = {"fallbacks": [{"m": ["claude"]}], "disable_cooldowns": True, **router}
        fleet = Fleet("file", LiteLLMConfig(tuple(models), rules, {}, "test"))
        gateway = ServedGateway(fleet, settings)
        entered.append(gateway.__enter__())
        house = House(gateway, mock, provider)
        clients.append(house.http)
        return house

    yield build
    for client in clients:
        client.close()
    for one in reversed(entered):
        one.__exit__(None, None, None)


def down(house: House) -> None:
    house.mock.script(Behaviour(status=500))


def text_of(answer: httpx.Response) -> str:
    chunks = [json.loads(one) for one in data(answer) if one != "[DONE]"]
    deltas = [c["choices"][0]["delta"] for c in chunks if c.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


def data(answer: httpx.Response) -> list[str]:
    return [x.removeprefix("data: ") for x in answer.text.splitlines() if x.startswith("data: ")]


# ---- It answers ----------------------------------------------------------------------------------


def test_when_vllm_is_down_the_provider_answers_in_openais_words(open_house: Open) -> None:
    house = open_house()
    down(house)
    answer = house.openai().chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "hi"}]
    )
    said = answer.parse()
    assert said.choices[0].message.content == "Hello you"
    assert said.choices[0].finish_reason == "stop"
    assert said.model == "claude-answered"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens) == (11, 3)
    assert answer.headers["x-gateway-replica"] == "claude"
    (asked,) = house.provider.asked
    assert (asked.path, asked.headers["x-api-key"]) == ("/v1/messages", KEY)
    assert metric(house.gateway, "gen_ai_client_inference_usage_output_tokens_total") == 3


@pytest.mark.parametrize("model", ["m", *MODELS])
def test_its_stream_is_openais(open_house: Open, model: str) -> None:
    house = open_house()
    down(house)
    answer = house.ask(model, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert text_of(answer) == "Hello you"
    events = data(answer)
    assert events.count("[DONE]") == 1
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert [one["choices"][0]["finish_reason"] for one in chunks][-1] == "stop"
    assert all("usage" not in one for one in chunks), "nobody asked for it"
    assert metric(house.gateway, "gen_ai_client_inference_usage_input_tokens_total") == 11


def test_a_stream_tells_its_usage_to_whoever_asks(open_house: Open) -> None:
    house = open_house()
    stream = house.openai().chat.completions.create(
        model="claude",
        messages=[{"role": "user", "content": "hi"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    usage = chunks[-1].usage
    assert chunks[-1].choices == []
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 3)
    assert {chunk.model for chunk in chunks} == {"claude-sonnet-4-5"}


def test_tool_calls_are_translated_both_ways(open_house: Open) -> None:
    house = open_house()
    house.provider.plan = Plan(tool="look")
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    whole = house.ask("claude", tools=[tool]).json()["choices"][0]
    assert whole["finish_reason"] == "tool_calls"
    (call,) = whole["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "look",
        {"a": 1},
    )
    assert house.provider.asked[0].body["tools"][0]["name"] == "look"

    events = [json.loads(one) for one in data(house.ask("claude", tools=[tool], stream=True))[:-1]]
    deltas = [d for e in events for d in e["choices"][0]["delta"].get("tool_calls", ())]
    assert deltas[0]["function"]["name"] == "look"
    assert "".join(d["function"]["arguments"] for d in deltas) == '{"a": 1}'
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_prompt_too_long_for_vllm_goes_to_the_provider_where_the_table_says(
    open_house: Open,
) -> None:
    house = open_house(fallbacks=[], context_window_fallbacks=[{"m": ["claude"]}])
    house.mock.script(Behaviour(status=400, body="This model's maximum context length is 9"))
    answer = house.ask()
    assert answer.json()["choices"][0]["message"]["content"] == "Hello you"


# ---- What goes out -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mock_response", "from the client"),
        ("api_base", "http://127.0.0.1:1"),
        ("api_key", "sk-client"),
        ("custom_llm_provider", "openai"),
        ("extra_headers", {"x-evil": "1"}),
        ("extra_body", {"evil": 1}),
    ],
)
def test_a_client_reaches_none_of_litellms_own_arguments(
    open_house: Open, name: str, value: Any
) -> None:
    house = open_house()
    answer = house.ask("claude", **{name: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
    assert house.provider.asked == []


def test_what_a_provider_has_no_word_for_is_left_out(open_house: Open) -> None:
    house = open_house()
    answer = house.ask("claude", temperature=0.5, metadata={"a": "b"}, top_k=5)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello you"
    (asked,) = house.provider.asked
    assert asked.headers["x-api-key"] == KEY
    assert asked.body["temperature"] == 0.5
    assert not {"metadata", "top_k"} & set(asked.body)


def test_the_gateway_fetches_no_picture_for_a_client(open_house: Open) -> None:
    house = open_house()
    part = {"type": "image_url", "image_url": {"url": f"{house.provider.url}/picture.png"}}
    answer = house.ask("claude", messages=[{"role": "user", "content": [part]}])
    assert answer.status_code == 400
    assert "data:" in answer.json()["error"]["message"]
    assert house.provider.asked == []


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/completions", {"prompt": "x"}), ("/v1/embeddings", {"input": "x"})],
)
def test_an_endpoint_that_it_does_not_have_is_a_clear_400(
    open_house: Open, path: str, body: dict[str, Any]
) -> None:
    answer = open_house().ask("claude", path, **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_by_model"


async def test_the_record_says_that_a_translation_was_made(open_house: Open) -> None:
    house = open_house()
    house.http.headers["x-request-id"] = "told"
    house.ask("claude", top_k=5)
    await eventually(lambda: house.http.get("/requests/told").status_code == 200)
    (record,) = house.http.get("/requests/told").json()["data"]
    (note,) = [one for one in record["decisions"] if one["kind"] == "translated"]
    assert (note["replica"], note["provider"]) == ("claude", "anthropic")
    assert note["dropped"] == ["top_k"]


# ---- It fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("plan", "status"),
    [
        (Plan(status=401), 503),
        (Plan(status=403), 503),
        (Plan(status=404), 503),
        (Plan(status=429, headers={"retry-after": "7"}), 429),
        (Plan(status=500), 503),
        (Plan(status=529), 503),
        (Plan(status=400), 400),
        (Plan(ends="hang"), 504),
    ],
    ids=lambda value: f"{value.status} {value.ends}" if isinstance(value, Plan) else str(value),
)
def test_each_failure_of_the_provider_is_our_own_error(
    open_house: Open, caplog: pytest.LogCaptureFixture, plan: Plan, status: int, stream: bool
) -> None:
    caplog.set_level(logging.INFO)
    house = open_house()
    house.provider.plan = Plan(plan.status, f"for {KEY}: private", plan.ends, headers=plan.headers)
    answer = house.ask("claude", stream=stream)
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}
    assert status != 429 or answer.headers["retry-after"] == "7"
    everything = answer.text + caplog.text + str(answer.headers)
    assert KEY not in everything
    assert "private" not in everything
    assert house.provider.url not in answer.text


def test_a_prompt_too_long_for_the_provider_is_told_as_such(open_house: Open) -> None:
    house = open_house()
    house.provider.plan = Plan(400, "prompt is too long: 205000 tokens > 200000 maximum")
    error = house.ask("claude").json()["error"]
    assert error["code"] == "context_length_exceeded"


def test_an_answer_that_is_none_is_503(open_house: Open) -> None:
    house = open_house()
    house.provider.plan = Plan(ends="garbage")
    assert house.ask("claude").status_code == 503


@pytest.mark.parametrize("ends", ["cut", "early", "stall", "error", "garbage"])
@pytest.mark.parametrize("model", MODELS)
def test_a_stream_that_breaks_after_text_ends_in_an_error_and_never_done(
    open_house: Open, model: str, ends: str
) -> None:
    house = open_house()
    house.provider.plan = Plan(ends=ends)
    answer = house.ask(model, stream=True)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    assert "event: error" in answer.text
    assert '"finish_reason":"' not in answer.text
    assert len(house.provider.asked) == 1, "nobody goes on with it"


@pytest.mark.parametrize("ends", ["cut", "early", "stall", "error", "garbage"])
def test_a_stream_that_breaks_before_any_text_goes_to_the_next_fallback(
    open_house: Open, ends: str
) -> None:
    house = open_house(fallbacks=[{"claude": ["m"]}])
    house.provider.plan = Plan(ends=ends, text=())
    house.mock.script(Behaviour(text="from vllm"))
    answer = house.ask("claude", stream=True)
    assert text_of(answer) == "from vllm"
    assert answer.headers["x-gateway-replica"] == "r0"


def test_a_stream_that_vllm_began_is_not_continued_by_a_provider(open_house: Open) -> None:
    house = open_house()
    house.mock.script(Behaviour(text="one two three", reset_after=2))
    answer = house.ask("m", stream=True)
    assert "event: error" in answer.text
    assert house.provider.asked == []


# ---- It is left ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("plan", [Plan(ends="stall"), Plan(ends="hang")], ids=["mid", "headers"])
async def test_when_the_client_leaves_the_provider_is_left_at_once(
    open_house: Open, model: str, plan: Plan
) -> None:
    house = open_house(PATIENT)
    house.provider.plan = plan
    late = []
    for number in range(TIMES):
        plug = connect(house.gateway)
        plug.sendall(request(PATH, chat(model=model)))
        await eventually(lambda number=number: len(house.provider.asked) > number)  # type: ignore[misc]
        if plan.ends == "stall":
            read_until(plug, b"you")
        plug.close()
        left = time.monotonic()
        late.append(await eventually(house.provider.asked[number].left.is_set) - left)
    assert statistics.median(late) < PROMPT, late
    await eventually(lambda: metric(house.gateway, "gw_inflight") == 0)


def read_until(plug: socket.socket, wanted: bytes) -> None:
    plug.settimeout(10)
    seen = b""
    while wanted not in seen:
        seen += plug.recv(1 << 16)


def test_providers_are_healthy_without_being_probed(open_house: Open) -> None:
    house = open_house()
    down(house)
    house.ask()
    asked = len(house.provider.asked)
    page = house.http.get("/readyz").text
    assert page.count("healthy") >= 3, page
    assert len(house.provider.asked) == asked


# ---- In one model with a vLLM --------------------------------------------------------------------


class Mixed:
    """One model, `m`, on a provider and as many vLLMs as are asked for, tried in this order."""

    def __init__(self, make: MockFleet, *order: str) -> None:
        self.make, self.order = make, order
        self.mocks: list[MockVLLM] = []

    def __enter__(self) -> Mixed:
        self.provider = ProviderServer().__enter__()
        models = []
        for at, name in enumerate(self.order):
            if name == "claude":
                given = {"model": MODELS[name], "api_base": self.provider.url, "api_key": KEY}
            else:
                self.mocks.append(self.make(model="m"))
                given = {"model": "hosted_vllm/m", "api_base": self.mocks[-1].base_url}
            models.append(Deployment("m", name, {**given, "order": at + 1}))
        fleet = Fleet("file", LiteLLMConfig(tuple(models), {"disable_cooldowns": True}, {}, "t"))
        self.gateway = ServedGateway(fleet, QUICK).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.gateway.__exit__(None, None, None)
        self.provider.__exit__(None, None, None)

    def stream(self) -> httpx.Response:
        return httpx.post(self.gateway.url + PATH, json=chat(), timeout=30)


def test_a_provider_takes_what_vllm_failed_before_any_text(mock_vllm_factory: MockFleet) -> None:
    with Mixed(mock_vllm_factory, "r0", "claude") as house:
        house.mocks[0].script(Behaviour(status=500))
        assert text_of(house.stream()) == "Hello you"


def test_what_vllm_began_goes_past_the_provider_to_the_next_vllm(
    mock_vllm_factory: MockFleet,
) -> None:
    with Mixed(mock_vllm_factory, "r0", "claude", "r2") as house:
        first, second = house.mocks
        first.script(Behaviour(text="one two three", reset_after=2))
        second.script(Behaviour(text="one two three"))
        answer = house.stream()
        assert data(answer)[-1] == "[DONE]"
        assert house.provider.asked == []
        assert len(second.requests(PATH)) == 1


def test_what_a_provider_began_nobody_continues(mock_vllm_factory: MockFleet) -> None:
    with Mixed(mock_vllm_factory, "claude", "r1") as house:
        house.provider.plan = Plan(ends="cut")
        assert "event: error" in house.stream().text
        assert house.mocks[0].requests(PATH) == []
