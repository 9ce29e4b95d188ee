"""How a Reply becomes HTTP: statuses before the first byte, events after it, comments between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from gateway.domain.call import Reply
from gateway.domain.errors import GatewayError, Overloaded, ShuttingDown
from gateway.domain.sse import COMMENT
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.relay import Relay
from tests.web.clients import chat, eventually, metric

LIVELY = Settings(
    streams={"keepalive_s": 0.1},  # type: ignore[arg-type]
    timeouts={"first_token_s": 1.0},  # type: ignore[arg-type]
    retries={"limit": 0},  # type: ignore[arg-type]
)


class Server:
    """The ASGI server's side of one request; the client leaves when `leaves` is set."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        self.scope: dict[str, Any] = {"type": "http", "state": {}}

    async def receive(self) -> Any:
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    async def run(self, relay: Relay) -> bytes:
        await relay(self.scope, self.receive, self.send)
        return b"".join(one.get("body", b"") for one in self.sent)


@asynccontextmanager
async def opening(*chunks: bytes | GatewayError, stream: bool = True) -> AsyncIterator[Reply]:
    async def pieces() -> AsyncIterator[bytes]:
        for chunk in chunks:
            if isinstance(chunk, GatewayError):
                raise chunk
            yield chunk

    yield Reply(pieces(), stream, "r0")


async def test_a_whole_answer_has_a_length() -> None:
    server = Server()
    body = await server.run(Relay(lambda: opening(b"{}", stream=False), "req-1"))
    assert body == b"{}"
    assert (b"content-length", b"2") in server.sent[0]["headers"]


async def test_a_stream_passes_as_it_comes() -> None:
    server = Server()
    body = await server.run(Relay(lambda: opening(b"data: 1\n\n", b"data: 2\n\n"), "req-1"))
    assert body == b"data: 1\n\ndata: 2\n\n"
    assert (b"x-gateway-replica", b"r0") in server.sent[0]["headers"]
    assert server.sent[-1] == {"type": "http.response.body", "body": b""}


async def test_an_error_before_the_first_byte_is_a_status() -> None:
    @asynccontextmanager
    async def full() -> AsyncIterator[Reply]:
        raise Overloaded(retry_after=6.2)
        yield

    server = Server()
    body = await server.run(Relay(full, "req-1", streams=lambda: True, silence=60))
    assert server.sent[0]["status"] == 429
    assert (b"retry-after", b"7") in server.sent[0]["headers"]
    assert json.loads(body)["error"]["code"] == "queue_full"


async def test_an_error_after_it_is_an_event_that_says_what_the_headers_would() -> None:
    server = Server()
    broken = Overloaded(retry_after=6.2)
    body = await server.run(Relay(lambda: opening(b"data: 1\n\n", broken), "req-1"))
    assert server.sent[0]["status"] == 200
    event = body.removeprefix(b"data: 1\n\n")
    assert event.startswith(b"event: error\ndata: ")
    assert json.loads(event.split(b"data: ", 1)[1])["error"] | {"message": ""} == {
        "message": "",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
        "request_id": "req-1",
        "retry_after": 7,
    }
    assert b"[DONE]" not in body


async def test_who_leaves_ends_the_work() -> None:
    ended: list[BaseException] = []

    @asynccontextmanager
    async def endless() -> AsyncIterator[Reply]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            await asyncio.Event().wait()

        try:
            yield Reply(pieces(), True, "r0")
        except BaseException as error:
            ended.append(error)
            raise

    server = Server()
    task = asyncio.create_task(server.run(Relay(endless, "req-1")))
    await eventually(lambda: len(server.sent) == 2)
    server.leaves.set()
    await asyncio.wait_for(task, 5)
    assert [type(error) for error in ended] == [asyncio.CancelledError]


@pytest.mark.parametrize("begun", [True, False])
async def test_what_we_cut_ourselves_ends_with_its_error_even_as_its_task_is_cancelled(
    begun: bool,
) -> None:
    opened = asyncio.Event()

    @asynccontextmanager
    async def endless() -> AsyncIterator[Reply]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            opened.set()
            await asyncio.Event().wait()

        try:  # as the pipeline does
            if not begun:
                opened.set()
                await asyncio.Event().wait()
            yield Reply(pieces(), True, "r0")
        except asyncio.CancelledError:
            raise ShuttingDown from None

    server = Server()
    task = asyncio.create_task(server.run(Relay(endless, "req-1")))
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    said = b"".join(message.get("body", b"") for message in server.sent)
    assert b'"code":"shutting_down"' in said
    assert (b"event: error" in said) is begun
    assert b"[DONE]" not in said


# ---- Signs of life, over a real socket -----------------------------------------------------------


@pytest.fixture
def one(mock_vllm_factory: MockFleet) -> Iterator[tuple[ServedGateway, MockVLLM]]:
    mock = mock_vllm_factory(model="m")
    with ServedGateway(fleet_on([mock.base_url]), LIVELY) as served:
        yield served, mock


async def post(gateway: ServedGateway, body: dict[str, Any]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.post(f"{gateway.url}/v1/chat/completions", json=body)


def before_first(text: str) -> str:
    return text.partition("data: ")[0]


async def test_a_long_wait_for_the_first_token_is_filled_with_comments(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(delay_first=0.5, text="hello"))
    answer = await post(gateway, chat())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert before_first(answer.text).count(COMMENT.decode()) >= 2
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_gap_between_two_tokens_is_filled_with_comments(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=("a", "b"), delay_between=0.4))
    answer = await post(gateway, chat())
    assert before_first(answer.text) == ""
    assert COMMENT.decode() in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_an_error_after_a_comment_is_an_event_and_no_status(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(before_headers="hang"))
    answer = await post(gateway, chat())
    assert answer.status_code == 200
    assert answer.text.startswith(COMMENT.decode())
    *_, last = answer.text.strip().split("\n\n")
    assert last.startswith("event: error\ndata: ")
    assert json.loads(last.split("data: ", 1)[1])["error"]["code"] == "timeout"
    assert "[DONE]" not in answer.text


async def test_a_plain_answer_never_gets_a_comment(one: tuple[ServedGateway, MockVLLM]) -> None:
    gateway, mock = one
    mock.script(Behaviour(delay_first=0.4, text="hello"))
    answer = await post(gateway, chat(stream=False))
    assert answer.json()["choices"][0]["message"]["content"] == "hello"


async def test_the_queue_is_filled_with_comments_and_its_end_is_told_as_an_event(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(Behaviour(before_headers="hang"))
    settings = Settings(
        streams={"keepalive_s": 0.1},  # type: ignore[arg-type]
        queue={"slots_per_replica": 1, "wait_s": 0.5},  # type: ignore[arg-type]
    )
    with ServedGateway(fleet_on([mock.base_url]), settings) as gateway:
        first = asyncio.create_task(post(gateway, chat()))
        await mock.arrived()
        answer = await post(gateway, chat())
        assert answer.text.startswith(COMMENT.decode())
        error = json.loads(answer.text.split("data: ", 1)[1])["error"]
        assert error["code"] == "queue_timeout"
        assert error["retry_after"] >= 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert metric(gateway, "gw_queue_depth") == 0
        assert metric(gateway, "gw_shed_total", model="m", priority="normal") == 1
    assert len(mock.requests("/v1/chat/completions")) == 1


async def test_a_priority_that_does_not_exist_is_refused(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            f"{gateway.url}/v1/chat/completions",
            json=chat(),
            headers={"X-Gateway-Priority": "urgent"},
        )
    assert answer.status_code == 400
    assert "interactive, normal or batch" in answer.json()["error"]["message"]
    assert mock.requests("/v1/chat/completions") == []


# ---- Headers that policies set -------------------------------------------------------------------

SET = {"x-ratelimit-remaining-requests": "7", "x-note": "caf\xe9"}
WRONG = {
    "x-split": "a\r\nset-cookie: b",
    "X-Upper": "a",
    "bad name": "a",
    "x-far": "\u20ac",
    "content-length": "1",
    "x-gateway-replica": "mine",
}


@pytest.mark.parametrize("stream", [True, False])
async def test_what_policies_set_goes_out_with_the_answer(stream: bool) -> None:
    server = Server()
    await server.run(Relay(lambda: opening(b"{}", stream=stream), "req-1", headers=lambda: SET))
    head = server.sent[0]["headers"]
    assert (b"x-ratelimit-remaining-requests", b"7") in head
    assert (b"x-note", b"caf\xe9") in head


async def test_and_with_an_error() -> None:
    @asynccontextmanager
    async def refused() -> AsyncIterator[Reply]:
        raise Overloaded(retry_after=3.0)
        yield

    server = Server()
    more = SET | {"retry-after": "99"}
    await server.run(Relay(refused, "req-1", headers=lambda: more))
    head = server.sent[0]["headers"]
    assert server.sent[0]["status"] == 429
    assert (b"x-ratelimit-remaining-requests", b"7") in head
    assert [value for name, value in head if name == b"retry-after"] == [b"3"]


async def test_and_with_a_comment_that_begins_the_answer_early() -> None:
    @asynccontextmanager
    async def late() -> AsyncIterator[Reply]:
        await asyncio.sleep(0.2)
        async with opening(b"data: x\n\n") as reply:
            yield reply

    server = Server()
    relay = Relay(late, "req-1", streams=lambda: True, silence=0.02, headers=lambda: SET)
    assert COMMENT in await server.run(relay)
    assert (b"x-ratelimit-remaining-requests", b"7") in server.sent[0]["headers"]


async def test_one_that_could_break_the_answer_stays_behind_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = Server()
    await server.run(Relay(lambda: opening(b"{}", stream=False), "r", headers=lambda: WRONG | SET))
    names = [name for name, _ in server.sent[0]["headers"]]
    assert names.count(b"content-length") == names.count(b"x-gateway-replica") == 1
    assert not {b"x-split", b"X-Upper", b"bad name", b"x-far"} & set(names)
    assert b"x-note" in names
    assert len(caplog.records) == len(WRONG)
    assert "set-cookie" not in caplog.text
