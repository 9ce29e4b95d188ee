"""The mock's connections: who is still there, what is kept alive, what is no HTTP."""

import asyncio
import json
import socket
import struct
import time
from typing import Any

import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)

BODY = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def request(path: str = "/v1/chat/completions", head: str = "", **more: Any) -> bytes:
    payload = json.dumps(BODY | more).encode()
    lines = f"POST {path} HTTP/1.1\r\nHost: mock\r\nContent-Length: {len(payload)}\r\n{head}\r\n"
    return lines.encode() + payload


def connect(mock: MockVLLM) -> socket.socket:
    return socket.create_connection(("127.0.0.1", mock.port), timeout=5)


def whole_answer(plug: socket.socket) -> bytes:
    """One answer with a content-length, off a connection that stays open."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += plug.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += plug.recv(65536)
    assert len(body) == size
    return body


def leave(plug: socket.socket, *, by_reset: bool) -> None:
    if by_reset:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    plug.close()


PHASES = [
    pytest.param(Behaviour(before_headers="hang"), b"", 0, id="before headers"),
    pytest.param(Behaviour(delay_headers=60), b"", 0, id="slow headers"),
    pytest.param(Behaviour(delay_first=60), b"\r\n\r\n", 0, id="first token"),
    pytest.param(Behaviour(delay_between=60), b"The", 2, id="between tokens"),
    pytest.param(Behaviour(stall_after=3), b'" mock"', 3, id="stalled"),
    pytest.param(Behaviour(after_done="hang"), b"[DONE]", 16, id="after done"),
]


@pytest.mark.parametrize("by_reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize(("behaviour", "until", "chunks"), PHASES)
async def test_a_client_that_leaves_is_noticed_at_once_in_every_phase(
    mock_vllm: MockVLLM, behaviour: Behaviour, until: bytes, chunks: int, by_reset: bool
) -> None:
    mock_vllm.script(behaviour)
    with connect(mock_vllm) as plug:
        plug.sendall(request(stream=True))
        await mock_vllm.arrived()
        raw = b""
        while until not in raw:
            raw += plug.recv(65536)
        left = time.monotonic()
        leave(plug, by_reset=by_reset)
    seen = (await mock_vllm.settled())[0]
    assert (seen.outcome, seen.chunks_sent) == ("client_left", chunks)
    assert seen.ended is not None
    assert seen.ended - left < 0.5


async def test_a_client_that_only_stops_sending_counts_as_gone(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(before_headers="hang"))
    with connect(mock_vllm) as plug:
        plug.sendall(request())
        plug.shutdown(socket.SHUT_WR)
        assert (await mock_vllm.settled())[0].outcome == "client_left"


async def test_a_client_that_leaves_while_a_plain_answer_is_made_is_noticed(
    mock_vllm: MockVLLM,
) -> None:
    mock_vllm.script(Behaviour(delay_between=60))
    with connect(mock_vllm) as plug:
        plug.sendall(request())
        await mock_vllm.arrived()
    assert (await mock_vllm.settled())[0].outcome == "client_left"


async def test_a_fast_stream_notices_too_although_it_never_waits(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(deltas=("x" * 2_000,) * 6_000))
    with connect(mock_vllm) as plug:
        plug.sendall(request(stream=True))
        plug.recv(1)
    seen = (await mock_vllm.settled())[0]
    assert (seen.outcome, seen.chunks_sent < 6_000) == ("client_left", True)


async def test_a_client_that_reads_nothing_holds_the_stream_back(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(deltas=("x" * 1_000_000,) * 16))
    with connect(mock_vllm) as plug:
        plug.sendall(request(stream=True))
        seen = (await mock_vllm.arrived())[0]
        while True:
            before = seen.chunks_sent
            await asyncio.sleep(0.05)
            seen = mock_vllm.requests()[0]
            if seen.chunks_sent == before > 0:
                break
        assert (seen.outcome, seen.chunks_sent < 16) == ("running", True)


def test_a_connection_is_kept_alive_and_known_by_its_number(mock_vllm: MockVLLM) -> None:
    with connect(mock_vllm) as first, connect(mock_vllm) as second:
        for plug in (first, first, second):
            plug.sendall(request())
            assert json.loads(whole_answer(plug))["object"] == "chat.completion"
    one, two, three = [seen.connection for seen in mock_vllm.requests()]
    assert one == two != three


def test_a_client_that_wants_the_connection_closed_gets_it_closed(mock_vllm: MockVLLM) -> None:
    with connect(mock_vllm) as plug:
        plug.sendall(request(head="Connection: close\r\n"))
        whole_answer(plug)
        assert plug.recv(1) == b""


def test_pipelined_requests_are_answered_in_order(mock_vllm: MockVLLM) -> None:
    mock_vllm.script({"text": "one", "delay_headers": 0.05}, {"text": "two"})
    with connect(mock_vllm) as plug:
        plug.sendall(request() + request(head="Connection: close\r\n"))
        raw = b""
        while part := plug.recv(65536):
            raw += part
    assert -1 < raw.find(b'"one"') < raw.find(b'"two"')


def test_a_body_that_waits_for_a_continue_gets_one(mock_vllm: MockVLLM) -> None:
    head, _, body = request(head="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with connect(mock_vllm) as plug:
        plug.sendall(head + b"\r\n\r\n")
        assert plug.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        plug.sendall(body)
        assert json.loads(whole_answer(plug))["object"] == "chat.completion"


def test_a_chunked_request_with_a_repeated_header_is_read_whole(mock_vllm: MockVLLM) -> None:
    body = json.dumps(BODY).encode()
    head = "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: mock\r\nX-A: 1\r\nX-A: 2\r\n"
    with connect(mock_vllm) as plug:
        plug.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (body[:9], body[9:]):
            plug.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        plug.sendall(b"0\r\n\r\n")
        whole_answer(plug)
    seen = mock_vllm.requests()[0]
    assert (seen.body, seen.query, seen.headers["x-a"]) == (BODY, "a=b", "1, 2")


def test_what_is_no_http_is_refused(mock_vllm: MockVLLM) -> None:
    with connect(mock_vllm) as plug:
        plug.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert plug.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert plug.recv(1) == b""
    assert mock_vllm.requests() == []
