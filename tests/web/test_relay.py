"""From a Reply to HTTP: whole or streamed, errors early and late, clients that leave."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.domain.call import Attempt, Reply
from gateway.domain.errors import GatewayError, LLMError, StreamTruncated
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web import relay
from gateway.web.relay import Relay, until_disconnect

Messages = list[dict[str, Any]]


class Opening:
    """A Reply of these pieces; an exception among them is raised in its place."""

    def __init__(self, *pieces: bytes | Exception, stream: bool = True) -> None:
        self.pieces = pieces
        self.stream = stream
        self.left: list[BaseException | None] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Reply]:
        if self.pieces and isinstance(self.pieces[0], Exception) and not self.stream:
            raise self.pieces[0]
        try:
            attempts = (Attempt("r0", "server_error", 0.1), Attempt("r1", "ok", 0.2))
            yield Reply(self._chunks(), self.stream, "r1", attempts)
        except BaseException as error:
            self.left.append(error)
            raise
        self.left.append(None)

    async def _chunks(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            await asyncio.sleep(0)
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def run(opening: Opening) -> Messages:
    sent: Messages = []

    async def send(message: Any) -> None:
        sent.append(message)

    await Relay(opening, "req-1")({}, never, send)
    return sent


def body(sent: Messages) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


async def test_a_plain_answer_is_one_body_with_its_length_and_who_gave_it() -> None:
    sent = await run(Opening(b'{"a":', b"1}", stream=False))
    headers = dict(sent[0]["headers"])
    assert (sent[0]["status"], body(sent)) == (200, b'{"a":1}')
    assert headers[b"content-length"] == b"7"
    assert headers[b"x-gateway-replica"] == b"r1"
    assert headers[b"x-gateway-attempts"] == b"2"


async def test_a_stream_is_sent_piece_by_piece_and_ended() -> None:
    sent = await run(Opening(b"data: 1\n\n", b"data: [DONE]\n\n"))
    assert [message.get("body") for message in sent[1:]] == [
        b"data: 1\n\n",
        b"data: [DONE]\n\n",
        b"",
    ]
    assert [message.get("more_body", False) for message in sent[1:]] == [True, True, False]
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-accel-buffering"] == b"no"


async def test_an_error_before_the_first_byte_is_a_status() -> None:
    sent = await run(Opening(LLMError(retry_after=3.0), stream=False))
    assert sent[0]["status"] == 503
    assert json.loads(body(sent))["error"]["request_id"] == "req-1"
    assert dict(sent[0]["headers"])[b"retry-after"] == b"3"


async def test_an_error_in_the_middle_is_a_typed_event_without_done() -> None:
    opening = Opening(b"data: 1\n\n", StreamTruncated(detail="r1: reset"))
    sent = await run(opening)
    assert body(sent).startswith(b"data: 1\n\nevent: error\ndata: {")
    assert b"upstream_truncated" in body(sent)
    assert b"[DONE]" not in body(sent)
    assert b"reset" not in body(sent)
    assert sent[-1] == {"type": "http.response.body", "body": b""}
    assert isinstance(opening.left[0], StreamTruncated), "the pipeline must hear of it"


async def test_a_defect_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await run(Opening(b"data: 1\n\n", ZeroDivisionError()))


async def test_a_client_that_takes_nothing_for_long_counts_as_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "_STALLED_SECONDS", 0.05)
    opening, sent = Opening(*[b"data: 1\n\n"] * 9), []

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 4:
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await Relay(opening, "req-1")({}, never, send)
    assert len(sent) == 4
    assert isinstance(opening.left[0], asyncio.CancelledError)


async def test_a_client_that_leaves_cancels_the_work_and_waits_for_its_end() -> None:
    gone, ended = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def work() -> None:
        gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    await until_disconnect(receive, work)
    assert ended.is_set()


async def test_work_that_is_done_does_not_wait_for_the_client() -> None:
    async def work() -> None:
        return None

    async with asyncio.timeout(5):
        await until_disconnect(never, work)


async def test_an_error_of_the_work_comes_out() -> None:
    async def work() -> None:
        raise GatewayError(detail="x")

    with pytest.raises(GatewayError):
        await until_disconnect(never, work)


async def test_when_the_server_itself_is_cancelled_the_work_is_too() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(until_disconnect(never, work))
    await started.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_comes_before_the_disconnect_does_not_end_the_call() -> None:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0) if messages else await never()

    finished = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0.01)
        finished.set()

    await until_disconnect(receive, work)
    assert finished.is_set()


# ---- Over a real socket --------------------------------------------------------------------------


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_reads_slowly_slows_the_replica_down(mock_vllm: MockVLLM) -> None:
    pieces, size = 64, 500_000
    asked = b'{"model": "mock", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n"
        f"content-type: application/json\r\ncontent-length: {len(asked)}\r\n\r\n"
    )
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        httpx.post(
            f"{gateway.url}/v1/chat/completions",
            content=asked,
            headers={"content-type": "application/json"},
        )
        mock_vllm.script(Behaviour(deltas=("x" * size,) * pieces))
        before = resident_bytes()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            client.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
            client.sendall(head.encode() + asked)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            passed_on = at_rest(lambda: mock_vllm.requests()[1].chunks_sent)
            assert passed_on < pieces / 2, "the rest waits in the replica"
            assert resident_bytes() - before < pieces * size / 2
            client.settimeout(20)
            text = b"".join(iter(lambda: client.recv(2**20), b""))
    assert text.count(b"x" * size) == pieces
    assert b"data: [DONE]\n\n" in text


def at_rest(count: Callable[[], int]) -> int:
    """A number once it has not grown for 0.2 s."""
    last, unchanged = count(), 0
    while unchanged < 10:
        time.sleep(0.02)
        unchanged = unchanged + 1 if count() == last else 0
        last = count()
    return last
