"""Clients that do not read: the replica waits for them, memory is bounded, patience ends."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import logging
import socket
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful
from tests.web.clients import chat, connect, eventually, metric, request

TEXT = "x" * 40_000
# 12 MB: more than the kernel holds for a client (tcp_wmem is 4 MiB at most as a rule) …
EVENTS = 300
LONG = Behaviour(deltas=(TEXT,) * EVENTS)
# … and 56 MB: more than it takes in from a replica besides (tcp_rmem is 6 to 32 MiB at most).
MOST_EVENTS = 1400
ENDLESS = Behaviour(deltas=(TEXT,) * MOST_EVENTS)
ASK = request("/v1/chat/completions", chat())
SMALL = 16 * 1024


def held() -> int:
    """Bytes that Python holds in this process, the gateway's buffers included."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def come_to_rest(mock: MockVLLM) -> int:
    """How many events the mock has sent, once it sends no more."""
    seen, same = -1, 0
    async with asyncio.timeout(20):
        while same < 10:
            await asyncio.sleep(0.03)
            sent = sum(one.chunks_sent for one in mock.requests("/v1/chat/completions"))
            same = same + 1 if sent == seen and sent else 0
            seen = sent
    return seen


async def test_a_client_that_does_not_read_stalls_the_replica_and_fills_no_memory(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m")
    with ServedGateway(fleet_on([mock.base_url])) as gateway, ExitStack() as stack:
        # The first answer of all brings what is only loaded once.
        async with httpx.AsyncClient() as asking:
            url = f"{gateway.url}/v1/chat/completions"
            assert (await asking.post(url, json=chat(stream=False))).is_success
        mock.reset()
        mock.script(ENDLESS)
        stack.callback(tracemalloc.stop)
        tracemalloc.start()
        before = held()
        plug = stack.enter_context(connect(gateway, receive_buffer=SMALL))
        plug.sendall(ASK)
        await mock.arrived()
        sent = await come_to_rest(mock)
        grown = held() - before
        (received,) = mock.requests("/v1/chat/completions")
        assert received.outcome == "running", "it is not at its end, and was not cut off"
        assert sent < MOST_EVENTS
        assert grown < 2**20, f"{grown // 1024} KiB for one stream"
        assert metric(gateway, "gw_inflight", model="m") == 1


async def test_the_stalled_stream_goes_on_and_is_whole_when_the_client_reads_at_last(
    mock_vllm_factory: MockFleet,
) -> None:
    """No idle time-out comes of it: that one counts only while the replica is waited for."""
    mock = mock_vllm_factory(model="m")
    mock.script(LONG)
    settings = Settings(timeouts={"idle_s": 0.2})  # type: ignore[arg-type]
    with (
        ServedGateway(fleet_on([mock.base_url]), settings) as gateway,
        connect(gateway, receive_buffer=SMALL) as plug,
    ):
        plug.sendall(request("/v1/chat/completions", chat(), connection="close"))
        await mock.arrived()
        await come_to_rest(mock)  # 0.3 s and more
        plug.settimeout(10)
        answer = await asyncio.to_thread(read_all, plug)
    assert answer.count(TEXT.encode()) == EVENTS
    assert b"data: [DONE]\n\n" in answer
    assert b"event: error" not in answer


def read_all(plug: socket.socket) -> bytes:
    response = http.client.HTTPResponse(plug)
    response.begin()
    return response.read()


async def test_a_client_that_reads_nothing_for_too_long_is_cut_off(
    mock_vllm_factory: MockFleet, caplog: pytest.LogCaptureFixture
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(ENDLESS)
    settings = Settings(streams={"client_stall_s": 0.3})  # type: ignore[arg-type]
    with (
        caplog.at_level(logging.INFO, "gateway"),
        ServedGateway(fleet_on([mock.base_url]), settings) as gateway,
        connect(gateway, receive_buffer=SMALL) as plug,
    ):
        plug.sendall(ASK)
        (received,) = await mock.settled()
        assert received.outcome == "client_left"
        await eventually(lambda: metric(gateway, "gw_requests_total", outcome="cancelled") == 1)
        assert metric(gateway, "gw_inflight") == 0
        assert metric(gateway, "gw_upstream_attempts_total", outcome="cancelled") == 1
        assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert "client_stalled" in json.dumps([one.__dict__ for one in caplog.records], default=str)


async def test_a_client_that_reads_slowly_is_not_cut_off(mock_vllm_factory: MockFleet) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(LONG)
    settings = Settings(streams={"client_stall_s": 1.0})  # type: ignore[arg-type]
    with (
        ServedGateway(fleet_on([mock.base_url]), settings) as gateway,
        connect(gateway, receive_buffer=SMALL) as plug,
    ):
        plug.sendall(ASK)
        await mock.arrived()
        # Two and a half times its patience.
        for _ in range(50):
            plug.recv(SMALL)
            await asyncio.sleep(0.05)
        (received,) = mock.requests("/v1/chat/completions")
        assert received.outcome != "client_left"
        assert metric(gateway, "gw_inflight") == 1


async def test_a_whole_answer_that_nobody_reads_does_not_stay_for_ever(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(LONG)
    settings = Settings(streams={"client_stall_s": 0.3})  # type: ignore[arg-type]
    with (
        ServedGateway(fleet_on([mock.base_url]), settings) as gateway,
        connect(gateway, receive_buffer=SMALL) as plug,
    ):
        plug.sendall(request("/v1/chat/completions", chat(stream=False)))
        await mock.settled()
        await eventually(lambda: metric(gateway, "gw_inflight") == 0)
        await eventually(lambda: is_reset(plug))


def is_reset(plug: socket.socket) -> bool:
    """The other side has dropped the connection, whatever still lies in the buffers."""
    # The first byte of Linux' struct tcp_info is the state: 1 established, 7 closed, 8 half-closed.
    (state,) = struct.unpack("B", plug.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))
    return state != 1


async def test_a_client_with_several_requests_in_the_pipe_that_leaves_ends_the_first_at_once(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(Behaviour(tokens=2000, delay_between=0.01))
    with ServedGateway(fleet_on([mock.base_url])) as gateway:
        with connect(gateway) as plug:
            plug.sendall(ASK + ASK)
            await mock.arrived()
            await asyncio.to_thread(plug.recv, 1 << 16)
            plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        (received,) = await mock.settled()
    assert received.outcome == "client_left"


HEADERS = forgetful(server={"max_header_bytes": 8192, "max_headers": 20})
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: gateway.test\r\n"


@pytest.fixture(scope="module")
def strict() -> Iterator[ServedGateway]:
    """A gateway that takes 20 headers and 8 KiB of them. Its replica is never asked."""
    with ServedGateway(fleet_on(["http://127.0.0.1:9/v1"]), HEADERS) as served:
        yield served


def said(gateway: ServedGateway, *pieces: bytes) -> bytes:
    """All that the gateway says to these bytes, until it closes the connection."""
    with connect(gateway) as plug:
        plug.settimeout(10)
        for piece in pieces:
            plug.sendall(piece)
        return b"".join(iter(lambda: plug.recv(65_536), b""))


@pytest.mark.parametrize(
    ("pieces", "setting"),
    [
        ([HEALTH + b"x: " + b"a" * 9000], "max_header_bytes"),
        ([HEALTH + b"x: " + b"a" * 9000 + b"\r\n\r\n"], "max_header_bytes"),
        ([b"GET /" + b"a" * 9000], "max_header_bytes"),
        ([HEALTH, *[b"x: " + b"a" * 1000 + b"\r\n"] * 9], "max_header_bytes"),
        ([HEALTH + b"a: b\r\n" * 20 + b"\r\n"], "max_headers"),
    ],
    ids=str.split("endless whole line slow many"),
)
def test_too_many_or_too_long_headers_are_a_431_and_the_end(
    strict: ServedGateway, pieces: list[bytes], setting: str
) -> None:
    answer = said(strict, *pieces)
    head, _, body = answer.rpartition(b"\r\n\r\n")
    assert b"HTTP/1.1 431 " in head
    error = json.loads(body)["error"]
    assert error["code"] == "headers_too_large"
    assert f"server.{setting}" in error["message"]


def test_each_request_of_a_connection_is_measured(strict: ServedGateway) -> None:
    with connect(strict) as plug:
        plug.settimeout(10)
        plug.sendall(HEALTH + b"\r\n")
        assert plug.recv(65_536).startswith(b"HTTP/1.1 200 ")
        plug.sendall(HEALTH + b"x: " + b"a" * 9000)
        assert b"HTTP/1.1 431 " in b"".join(iter(lambda: plug.recv(65_536), b""))


def test_a_refusal_never_gets_into_an_answer_that_is_under_way(
    mock_vllm_factory: MockFleet,
) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(Behaviour(deltas=("x", "y"), stall_after=1))
    with ServedGateway(fleet_on([mock.base_url]), HEADERS) as gateway:
        answer = said(gateway, ASK, HEALTH + b"x: " + b"a" * 20_000)
    assert b"431" not in answer


def test_headers_within_their_bounds_pass_on_one_connection_after_another(
    strict: ServedGateway,
) -> None:
    one = HEALTH + b"x: " + b"a" * 3000 + b"\r\n\r\n"
    last = HEALTH + b"connection: close\r\n" + b"a: b\r\n" * 17 + b"\r\n"
    assert said(strict, one, one, one, one + one, last).count(b"HTTP/1.1 200") == 6


def test_a_large_body_is_no_header(strict: ServedGateway) -> None:
    body = {"text": "x" * 100_000}
    last = HEALTH + b"connection: close\r\n\r\n"
    answer = said(strict, request("/api/ai/explain", body), request("/api/ai/explain", body), last)
    assert (answer.count(b"HTTP/1.1 422"), answer.count(b"HTTP/1.1 200")) == (2, 1)


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Its last number is how many descriptors there still are; 40 are kept to refuse clients."""
    numbers = [1000]
    monkeypatch.setattr("gateway.web.connection.left_above", lambda _: numbers[-1])
    monkeypatch.setattr("gateway.web.connection.kept_for_refusals", lambda: 40)
    return numbers


def test_who_gets_one_of_the_last_descriptors_is_told_to_come_back(
    strict: ServedGateway, left: list[int]
) -> None:
    left.append(39)
    head, _, body = said(strict, request("/v1/chat/completions", chat())).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1\r\n" in head
    assert b"\r\nx-request-id: req-" in head
    assert json.loads(body)["error"]["code"] == "gateway_overloaded"


def test_operators_are_answered_on_the_last_descriptors_and_the_connection_ends(
    strict: ServedGateway, left: list[int]
) -> None:
    left.append(39)
    answer = said(strict, HEALTH + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_who_comes_when_all_but_the_last_are_gone_is_answered_unheard(
    strict: ServedGateway, left: list[int]
) -> None:
    left.append(19)
    head, _, body = said(strict).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nretry-after: 1\r\n" in head
    assert json.loads(body)["error"]["code"] == "gateway_overloaded"


def test_a_connection_from_better_times_is_served_on(
    strict: ServedGateway, left: list[int]
) -> None:
    with connect(strict) as plug:
        plug.settimeout(10)
        for _ in range(2):
            plug.sendall(HEALTH + b"\r\n")
            answer = plug.recv(65_536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" not in answer
            left.append(0)
