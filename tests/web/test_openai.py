"""/v1/* through a real socket with OpenAI's own client: answers, streams, errors, leaving."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import openai
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful

MESSAGES = [{"role": "user", "content": "hi"}]
QUICK = forgetful(timeouts={"first_token_s": 2, "idle_s": 0.5})


@pytest.fixture
def replicas(mock_vllm_factory: MockFleet) -> list[MockVLLM]:
    return [mock_vllm_factory(model="m"), mock_vllm_factory(model="m")]


@pytest.fixture
def gateway(replicas: list[MockVLLM]) -> Iterator[ServedGateway]:
    fleet = fleet_on([mock.base_url for mock in replicas])
    with ServedGateway(fleet, QUICK) as served:
        yield served


@pytest.fixture(scope="module")
def _one() -> Iterator[tuple[ServedGateway, MockVLLM]]:
    with (
        MockVLLM.start(model="m") as mock,
        ServedGateway(fleet_on([mock.base_url]), QUICK) as served,
    ):
        yield served, mock


@pytest.fixture
def one(_one: tuple[ServedGateway, MockVLLM]) -> tuple[ServedGateway, MockVLLM]:
    """A gateway on one replica, which never rests: tests share it, and the replica is as new."""
    _one[1].renew()
    return _one


def client(gateway: ServedGateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)


def test_a_chat_completion(gateway: ServedGateway) -> None:
    answer = client(gateway).chat.completions.with_raw_response.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
    said = answer.parse()
    assert said.choices[0].message.content
    assert said.usage is not None
    assert answer.headers["x-gateway-replica"] in ("r0", "r1")
    assert answer.headers["x-gateway-attempts"] == "1"
    assert answer.headers["x-request-id"].startswith("req-")


def test_a_streamed_chat_with_usage(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=("he", "ll", "ö")))
    stream = client(gateway).chat.completions.create(
        model="m",
        messages=MESSAGES,  # type: ignore[arg-type]
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hellö"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_the_bytes_of_a_stream_are_the_replicas_own(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=("one", "two"), split=1))
    asked = {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"x-request-id": "same"}
    direct = httpx.post(f"{mock.base_url}/chat/completions", json=asked, headers=headers)
    through = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers)

    def timeless(body: str) -> list[str]:
        return [line for line in body.replace('"created":', "\n").splitlines() if '"' in line]

    assert through.text.endswith("data: [DONE]\n\n")
    assert len(through.text) == len(direct.text)
    assert timeless(through.text)[0] == timeless(direct.text)[0]
    assert through.headers["content-type"].startswith("text/event-stream")


def test_completions_and_embeddings(gateway: ServedGateway) -> None:
    api = client(gateway)
    assert api.completions.create(model="m", prompt="def add(").choices[0].text
    streamed = api.completions.create(model="m", prompt="def add(", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)
    assert len(api.embeddings.create(model="m", input=["a", "b"]).data) == 2


def test_the_models_are_listed(gateway: ServedGateway) -> None:
    assert [model.id for model in client(gateway).models.list()] == ["m"]


def test_an_unknown_model_is_openais_404(gateway: ServedGateway) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client(gateway).chat.completions.create(model="nope", messages=MESSAGES)  # type: ignore[arg-type]
    assert caught.value.code == "model_not_found"
    assert "GET /v1/models" in str(caught.value)
    assert caught.value.request_id


def test_a_mistake_of_the_client_is_told_in_the_replicas_words(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    error = {"error": {"message": "top_p must be in (0, 1]", "param": "top_p", "code": 400}}
    mock.script(Behaviour(status=400, body=json.dumps(error)))
    with pytest.raises(openai.BadRequestError, match="top_p must be in"):
        client(gateway).chat.completions.create(model="m", messages=MESSAGES, top_p=2)  # type: ignore[arg-type]
    assert len(mock.requests("/v1/chat/completions")) == 1


def test_a_body_that_is_no_json_is_told_where(gateway: ServedGateway) -> None:
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        content=b'{"model": ',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


def test_a_failing_replica_is_not_noticed_while_another_is_healthy(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    replicas[0].script(Behaviour(status=500))
    for _ in range(12):
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}
        )
        assert answer.status_code == 200
        assert answer.headers["x-gateway-replica"] == "r1"


def test_when_all_fail_the_client_gets_a_503_that_says_nothing_of_the_inside(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(status=500, body="Traceback: secret at 10.1.2.3"))
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}
    )
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "secret" not in answer.text
    assert str(mock.port) not in answer.text
    assert len(mock.requests("/v1/chat/completions")) == 4


def test_a_replica_that_refuses_connections_is_a_503(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.refuse()
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", json={"model": "m", "messages": MESSAGES}
    )
    assert answer.status_code == 503


def test_a_replica_that_says_nothing_is_a_504(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.script(Behaviour(before_headers="hang"))
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "m", "messages": MESSAGES},
        headers={"X-Request-Timeout": "0.2"},
    )
    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "timeout"


@pytest.mark.parametrize(
    "fault",
    [
        Behaviour(tokens=9, reset_after=3),
        Behaviour(tokens=9, close_after=3),
        Behaviour(tokens=9, stall_after=3),
        Behaviour(tokens=9, error_after=3),
        Behaviour(tokens=9, finish_reason=None),
    ],
    ids=["reset", "cut", "stall", "error event", "no finish_reason"],
)
def test_a_torn_stream_ends_in_a_typed_error_and_never_in_done(
    one: tuple[ServedGateway, MockVLLM], fault: Behaviour
) -> None:
    gateway, mock = one
    mock.script(fault)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "m", "messages": MESSAGES, "stream": True},
    )
    *_, last = answer.text.strip().split("\n\n")
    assert last.startswith("event: error\ndata: ")
    error = json.loads(last.split("data: ", 1)[1])["error"]
    assert error["code"] in ("upstream_truncated", "timeout")
    assert "[DONE]" not in answer.text
    for event in answer.text.strip().split("\n\n")[:-1]:
        json.loads(event.removeprefix("data: "))


def test_openais_client_raises_on_a_torn_stream(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.script(Behaviour(tokens=9, reset_after=3))
    stream = client(gateway).chat.completions.create(model="m", messages=MESSAGES, stream=True)  # type: ignore[arg-type]
    with pytest.raises(openai.APIError, match="cut off"):
        list(stream)


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (Behaviour(before_headers="hang"), False),
        (Behaviour(before_headers="hang"), True),
        (Behaviour(delay_first=60), True),
        (Behaviour(tokens=200, delay_between=0.05), True),
        (Behaviour(tokens=200, delay_between=0.05), False),
    ],
    ids=["before headers", "before headers, stream", "first token", "mid-stream", "plain"],
)
async def test_when_the_client_leaves_the_upstream_is_closed_at_once(
    mock_vllm_factory: MockFleet, behaviour: Behaviour, stream: bool
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(behaviour)
    with ServedGateway(fleet_on([mock.base_url])) as gateway:
        async with httpx.AsyncClient() as http:
            asked = {"model": "m", "messages": MESSAGES, "stream": stream}
            task = asyncio.create_task(
                http.post(f"{gateway.url}/v1/chat/completions", json=asked, timeout=30)
            )
            await mock.arrived()
            await asyncio.sleep(0.15)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            (received,) = await mock.settled()
        assert received.outcome == "client_left"
        assert received.ended is not None
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{gateway.url}/metrics")).text
    assert 'outcome="cancelled"' in metrics


def test_keys_are_asked_for_where_they_are_configured(mock_vllm: MockVLLM) -> None:
    from gateway.settings import KeyHash, Team, hash_key

    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-gw-right")),))
    with ServedGateway(
        fleet_on([mock_vllm.base_url], model="mock"), Settings(teams=(team,))
    ) as gateway:
        asked = {"model": "mock", "messages": MESSAGES}
        url = f"{gateway.url}/v1/chat/completions"
        refused = httpx.post(url, content=b"not even json")
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        for header in ({"authorization": "Bearer sk-gw-right"}, {"x-api-key": "sk-gw-right"}):
            assert httpx.post(url, json=asked, headers=header).status_code == 200
        assert 'team="ide"' in httpx.get(f"{gateway.url}/metrics").text
    assert all("sk-gw-right" not in str(received.headers) for received in mock_vllm.requests())


def test_running_requests_finish_when_the_gateway_stops(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(tokens=10, delay_between=0.05))
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        asked = {"model": "mock", "messages": MESSAGES, "stream": True}
        with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=asked) as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            gateway.stop()
            text += "".join(pieces)
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_does_not_say_it_is_json_is_refused(gateway: ServedGateway, kind: str) -> None:
    asked = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    url = f"{gateway.url}/v1/chat/completions"
    answer = httpx.post(url, content=asked, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["error"]["message"]


def test_answers_of_both_kinds_leave_their_connection_to_the_next(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    url = f"{gateway.url}/v1/chat/completions"
    for stream in (True, False, True, False):
        httpx.post(url, json={"model": "m", "messages": MESSAGES, "stream": stream})
    received = mock.requests("/v1/chat/completions")
    assert len({request.connection for request in received}) == 1


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_connection_that_a_replica_has_closed_meanwhile_is_not_noticed(
    one: tuple[ServedGateway, MockVLLM], then: str
) -> None:
    gateway, mock = one
    mock.script(Behaviour.from_json({"then": then}))
    with httpx.Client(base_url=gateway.url) as http:
        for _ in range(30):
            answer = http.post("/v1/chat/completions", json={"model": "m", "messages": MESSAGES})
            assert answer.status_code == 200
            assert answer.headers["x-gateway-attempts"] == "1"
    assert len(mock.requests("/v1/chat/completions")) == 30


@pytest.mark.parametrize("length", ["told", "hidden"])
def test_a_body_past_the_limit_is_a_413_while_it_is_still_being_sent(
    mock_vllm: MockVLLM, length: str
) -> None:
    pieces = [b"x" * 65536] * 40
    body = b"".join(pieces) if length == "told" else iter(pieces)
    limit = Settings(server={"max_body_bytes": 1024})  # type: ignore[arg-type]
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock"), limit) as gateway:
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions",
            content=body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
        asked = {"model": "mock", "messages": MESSAGES}
        assert httpx.post(f"{gateway.url}/v1/chat/completions", json=asked).status_code == 200


async def test_a_client_that_leaves_the_queue_takes_no_slot(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(tokens=20, delay_between=0.05), Behaviour())
    settings = Settings(queue={"slots_per_replica": 1})  # type: ignore[arg-type]
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock"), settings) as gateway:
        asked = {"model": "mock", "messages": MESSAGES}

        async def post(http: httpx.AsyncClient) -> httpx.Response:
            return await http.post(f"{gateway.url}/v1/chat/completions", json=asked, timeout=30)

        async with httpx.AsyncClient() as http:
            first = asyncio.create_task(post(http))
            await mock_vllm.arrived()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await post(http)
            third = asyncio.create_task(post(http))
            assert (await first).status_code == 200
            assert (await third).status_code == 200
    assert len(mock_vllm.requests("/v1/chat/completions")) == 2
