"""The wire against a real server: what a broken connection is called, and which are kept."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator

import orjson
import pytest

from gateway.adapters import transport
from gateway.adapters.transport import AiohttpResponse, AiohttpWire
from gateway.domain.errors import OutOfDescriptors
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault
from gateway.testing.mock_vllm import Behaviour, MockVLLM

PATH = "/v1/chat/completions"


@pytest.fixture
async def wire() -> AsyncIterator[AiohttpWire]:
    async with AiohttpWire(connect=2.0) as wire:
        yield wire


async def post(wire: AiohttpWire, mock: MockVLLM, *, stream: bool = False) -> AiohttpResponse:
    asked = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    headers = {"content-type": "application/json", "authorization": "Bearer upstream-key"}
    return await wire.send("POST", mock.url + PATH, headers=headers, body=orjson.dumps(asked))


async def fault_of_sending(wire: AiohttpWire, mock: MockVLLM) -> Fault:
    with pytest.raises(WireError) as caught:
        await post(wire, mock)
    assert "upstream-key" not in str(caught.value)
    return caught.value.fault


async def status_of(wire: AiohttpWire, mock: MockVLLM) -> int:
    response = await post(wire, mock)
    response.close()
    return response.status


async def read_to_the_end(response: AiohttpResponse) -> bytes:
    try:
        return b"".join([chunk async for chunk in response.chunks()])
    finally:
        response.release()


async def connections(mock: MockVLLM, count: int) -> list[int]:
    """Which connection each of the `count` requests so far came on."""
    return [received.connection for received in await mock.settled(count)]


# ---- Answers -------------------------------------------------------------------------------------


async def test_an_answer_has_a_status_headers_and_the_very_bytes(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(status=418, body='{"ö":1}', headers={"X-Some": "thing"}))
    response = await post(wire, mock_vllm)
    assert response.status == 418
    assert response.headers["x-some"] == "thing"
    assert await response.read(1000) == '{"ö":1}'.encode()


async def test_the_method_the_headers_and_the_body_go_out_as_given(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    body = '{"model": "mock", "x": "é\\u0000"}'.encode()
    headers = {"content-type": "application/json", "x-request-id": "r-1"}
    url = f"{mock_vllm.base_url}/completions"
    await read_to_the_end(await wire.send("POST", url, headers=headers, body=body))
    [received] = await mock_vllm.arrived()
    assert received.method == "POST"
    assert received.body == orjson.loads(body)
    assert received.headers["x-request-id"] == "r-1"
    assert received.headers["content-length"] == str(len(body))


async def test_nobody_is_asked_to_compress_and_nothing_is_unpacked(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(gzip=True))
    response = await post(wire, mock_vllm)
    assert (await response.read(10_000)).startswith(b"\x1f\x8b")
    [received] = mock_vllm.requests()
    assert received.headers["accept-encoding"] == "identity"


async def test_open_connections_are_told_by_the_place_that_they_go_to(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    assert wire.connections(mock_vllm.base_url) == (0, 0)
    mock_vllm.script(Behaviour(stall_after=0), Behaviour(stall_after=0), Behaviour())
    stalled = [await post(wire, mock_vllm) for _ in range(2)]
    await read_to_the_end(await post(wire, mock_vllm))
    assert wire.connections(mock_vllm.base_url) == (2, 1)
    for answer in stalled:
        answer.close()
    assert wire.connections(mock_vllm.base_url) == (0, 1)
    assert wire.connections("http://127.0.0.2:1/v1") == (0, 0)


async def test_a_redirect_is_an_answer_like_any_other(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(status=307, headers={"Location": f"{mock_vllm.url}/elsewhere"}))
    assert await status_of(wire, mock_vllm) == 307
    assert len(mock_vllm.requests()) == 1


async def test_a_cookie_is_not_brought_back(wire: AiohttpWire, mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(headers={"Set-Cookie": "a=b; Path=/"}))
    for _ in range(2):
        await status_of(wire, mock_vllm)
    assert all("cookie" not in received.headers for received in mock_vllm.requests())


async def test_an_interim_answer_is_not_the_answer(wire: AiohttpWire, mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(interim=103))
    assert await status_of(wire, mock_vllm) == 200


async def test_a_body_whose_end_is_the_end_of_the_connection_is_read_whole(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(http10=True, tokens=3))
    assert orjson.loads(await (await post(wire, mock_vllm)).read(10_000))["choices"]


async def test_a_proxy_of_the_environment_is_not_used(
    wire: AiohttpWire, mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with AiohttpWire(connect=2.0) as late:
        assert await status_of(late, mock_vllm) == 200
    assert await status_of(wire, mock_vllm) == 200


async def test_more_requests_than_a_common_pool_has_go_out_at_once(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(before_headers="hang"))
    sent = [asyncio.create_task(post(wire, mock_vllm)) for _ in range(130)]
    await mock_vllm.arrived(130)
    for task in sent:
        task.cancel()
    await asyncio.gather(*sent, return_exceptions=True)


async def test_a_wire_that_was_not_entered_says_how() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await AiohttpWire(connect=1.0).send("GET", "http://127.0.0.1:9/", headers={})


# ---- Faults --------------------------------------------------------------------------------------


async def test_refused_is_no_connection(wire: AiohttpWire, mock_vllm: MockVLLM) -> None:
    mock_vllm.refuse()
    assert await fault_of_sending(wire, mock_vllm) is Fault.CONNECT


async def test_out_of_descriptors_is_no_fault_of_the_replica(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.dup(0)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        with pytest.raises(OutOfDescriptors) as caught:
            await post(wire, mock_vllm)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
    assert mock_vllm.url not in caught.value.public
    assert await status_of(wire, mock_vllm) == 200


async def test_the_last_descriptors_are_kept_for_clients(
    wire: AiohttpWire, mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [49]
    monkeypatch.setattr("gateway.adapters.transport.left_above", lambda _: left[-1])
    monkeypatch.setattr("gateway.adapters.transport.kept_for_clients", lambda: 50)
    with pytest.raises(OutOfDescriptors):
        await post(wire, mock_vllm)
    left.append(50)
    assert await status_of(wire, mock_vllm) == 200


async def test_a_name_that_nobody_knows_is_no_connection(
    wire: AiohttpWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(WireError) as caught:
        await wire.send("GET", "http://vllm-0.test:8000/v1/models", headers={})
    assert caught.value.fault is Fault.CONNECT


async def test_no_tls_on_the_other_side_is_no_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    with pytest.raises(WireError) as caught:
        await wire.send("GET", f"https://127.0.0.1:{mock_vllm.port}/v1/models", headers={})
    assert caught.value.fault is Fault.CONNECT


async def test_a_url_that_is_none_is_no_connection(wire: AiohttpWire) -> None:
    with pytest.raises(WireError) as caught:
        await wire.send("GET", "http:///v1/models", headers={})
    assert caught.value.fault is Fault.CONNECT


async def test_a_header_that_is_none_is_no_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    with pytest.raises(WireError) as caught:
        await wire.send(
            "GET", f"{mock_vllm.base_url}/models", headers={"authorization": "Bearer sk-\nup"}
        )
    assert caught.value.fault is Fault.CONNECT
    assert "sk-" not in str(caught.value)


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that listens, with no room left for another connection: the kernel drops it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for one in crowd:
            one.close()


async def test_a_connection_that_takes_too_long_is_none(deaf: int) -> None:
    async with AiohttpWire(connect=0.1) as wire:
        with pytest.raises(WireError) as caught:
            await wire.send("GET", f"http://127.0.0.1:{deaf}/v1/models", headers={})
    assert caught.value.fault is Fault.CONNECT


@pytest.mark.parametrize(
    "fault",
    [
        Behaviour(before_headers="reset"),
        Behaviour(before_headers="close"),
        Behaviour(before_headers="garbage"),
        Behaviour(headers={"x-endless": "a" * 1_000_000}),
    ],
    ids=["reset", "closed", "no HTTP", "header of 1 MB"],
)
async def test_no_headers_is_a_broken_connection_and_one_request(
    wire: AiohttpWire, mock_vllm: MockVLLM, fault: Behaviour
) -> None:
    mock_vllm.script(fault)
    assert await fault_of_sending(wire, mock_vllm) is Fault.BROKEN
    assert len(mock_vllm.requests()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "fault",
    [
        Behaviour(tokens=5, reset_after=1),
        Behaviour(tokens=5, close_after=1),
    ],
    ids=["reset", "closed"],
)
async def test_a_body_that_is_cut_is_a_broken_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM, fault: Behaviour, stream: bool
) -> None:
    mock_vllm.script(fault)
    response = await post(wire, mock_vllm, stream=stream)
    with pytest.raises(WireError) as caught:
        await response.read(100_000)
    response.close()
    assert caught.value.fault is Fault.BROKEN


async def test_chunks_that_are_no_http_are_a_broken_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(garbage_after=1, garbage_framed=False, reset_after=2))
    # They may come in one packet with the headers, and are then found at once.
    with pytest.raises(WireError) as caught:
        await read_to_the_end(await post(wire, mock_vllm, stream=True))
    assert caught.value.fault is Fault.BROKEN


async def test_a_body_shorter_than_promised_is_a_broken_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(short_by=7))
    response = await post(wire, mock_vllm)
    with pytest.raises(WireError) as caught:
        await response.read(100_000)
    response.close()
    assert caught.value.fault is Fault.BROKEN


async def test_a_body_past_the_limit_is_garbage(wire: AiohttpWire, mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(body="x" * 1000))
    response = await post(wire, mock_vllm)
    with pytest.raises(WireError, match="longer than 999 bytes") as caught:
        await response.read(999)
    response.close()
    assert caught.value.fault is Fault.GARBAGE
    assert len(await (await post(wire, mock_vllm)).read(1000)) == 1000


# ---- Connections ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_an_answer_read_to_its_end_leaves_its_connection_to_the_next(
    wire: AiohttpWire, mock_vllm: MockVLLM, stream: bool
) -> None:
    for _ in range(3):
        await read_to_the_end(await post(wire, mock_vllm, stream=stream))
    assert len(set(await connections(mock_vllm, 3))) == 1


async def test_a_closed_answer_takes_its_connection_along(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(tokens=50, delay_between=0.1), Behaviour())
    response = await post(wire, mock_vllm, stream=True)
    await anext(response.chunks())
    response.close()
    response.close()
    [first] = await mock_vllm.settled()
    assert first.outcome == "client_left"
    await read_to_the_end(await post(wire, mock_vllm))
    assert len(set(await connections(mock_vllm, 2))) == 2


async def test_an_answer_released_before_its_end_is_not_kept(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(tokens=50, delay_between=0.1))
    response = await post(wire, mock_vllm, stream=True)
    response.release()
    response.release()
    [received] = await mock_vllm.settled()
    assert received.outcome == "client_left"


async def test_who_stops_waiting_for_headers_closes_the_connection(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(before_headers="hang"))
    task = asyncio.create_task(post(wire, mock_vllm))
    await mock_vllm.arrived()
    task.cancel()
    [received] = await mock_vllm.settled()
    assert received.outcome == "client_left"


async def test_leaving_the_wire_closes_the_connections_it_kept(mock_vllm: MockVLLM) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_files()
    async with AiohttpWire(connect=2.0) as wire:
        await read_to_the_end(await post(wire, mock_vllm))
        assert open_files() > before
    for _ in range(100):
        if open_files() == before:
            break
        await asyncio.sleep(0)
    assert open_files() == before


# ---- A kept connection that the server has closed meanwhile --------------------------------------


def close_idle(mock: MockVLLM) -> None:
    """FIN on every kept connection. No turn of the event loop passes, so the wire cannot know."""
    mock.refuse()
    mock.accept()


def reset_idle(mock: MockVLLM) -> None:
    """RST on every kept connection; the record of requests begins anew."""
    mock.reset()


@pytest.mark.parametrize("end", [close_idle, reset_idle])
@pytest.mark.parametrize("kept", [1, 5])
async def test_a_kept_connection_that_died_is_not_noticed(
    wire: AiohttpWire, mock_vllm: MockVLLM, end: object, kept: int
) -> None:
    assert callable(end)
    mock_vllm.script(Behaviour(delay_headers=0.05), *[Behaviour(delay_headers=0.05)] * kept)
    first = await asyncio.gather(*[post(wire, mock_vllm) for _ in range(kept)])
    for response in first:
        await read_to_the_end(response)
    assert len(set(await connections(mock_vllm, kept))) == kept
    seen = len(mock_vllm.requests())
    end(mock_vllm)
    before = 0 if end is reset_idle else seen
    assert (await (await post(wire, mock_vllm)).read(10_000)).startswith(b"{")
    assert len(mock_vllm.requests()) == before + 1


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_connection_that_ends_right_after_an_answer_harms_no_other_request(
    wire: AiohttpWire, mock_vllm: MockVLLM, then: str
) -> None:
    mock_vllm.script(Behaviour.from_json({"then": then}))
    for _ in range(20):
        assert await read_to_the_end(await post(wire, mock_vllm))
    assert len(mock_vllm.requests()) == 20


async def test_where_the_new_connection_is_refused_that_is_what_is_told(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    await read_to_the_end(await post(wire, mock_vllm))
    mock_vllm.refuse()
    assert await fault_of_sending(wire, mock_vllm) is Fault.CONNECT


async def test_where_the_new_connection_breaks_too_nothing_more_is_tried(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    await read_to_the_end(await post(wire, mock_vllm))
    mock_vllm.script(Behaviour(before_headers="reset"))
    assert await fault_of_sending(wire, mock_vllm) is Fault.BROKEN
    assert len(mock_vllm.requests()) == 3


async def test_a_replica_that_breaks_at_work_is_not_asked_twice(
    wire: AiohttpWire, mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_STALE_SECONDS", 0.05)
    await read_to_the_end(await post(wire, mock_vllm))
    mock_vllm.script(Behaviour(delay_headers=0.1, before_headers="close"))
    assert await fault_of_sending(wire, mock_vllm) is Fault.BROKEN
    assert len(mock_vllm.requests()) == 2


async def test_what_came_together_with_the_break_is_not_lost(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(deltas=("one", "two"), reset_after=3))
    body = b'{"model": "mock", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    url, headers = f"{mock_vllm.base_url}/chat/completions", {"content-type": "application/json"}
    response = await wire.send("POST", url, headers=headers, body=body)
    async with asyncio.timeout(5):
        while response._response.content.exception() is None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    chunks = response.chunks()
    assert b'"two"' in await anext(chunks)
    with pytest.raises(WireError):
        await anext(chunks)
    response.close()
