"""Asking a server for its models: the names it gives, and for each failure a text that helps."""

from __future__ import annotations

import asyncio

import pytest

from gateway.adapters import discovery
from gateway.adapters.discovery import NotDiscovered, model_names
from gateway.adapters.transport import AiohttpWire
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault
from gateway.testing.fakes import FakeAnswer, FakeWire, failing
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet

URL = "http://vllm.test:8001/v1"
KEY = "sk-upstream-secret"


async def trouble(answer: FakeAnswer | BaseException) -> str:
    """What is told when the server answers so."""
    wire = FakeWire([answer])
    with pytest.raises(NotDiscovered) as caught:
        await model_names(wire, URL, KEY)
    assert KEY not in str(caught.value)
    assert all(given.released or given.closed for given in wire.given)
    return str(caught.value)


async def test_the_names_of_a_real_list_in_its_order(mock_vllm_factory: MockFleet) -> None:
    mock = mock_vllm_factory(model=["big/coder", "small"])
    async with AiohttpWire(connect=2.0) as wire:
        assert await model_names(wire, mock.base_url, None) == ("big/coder", "small")
    [received] = mock.requests()
    assert (received.method, received.path) == ("GET", "/v1/models")
    assert "authorization" not in received.headers


async def test_a_key_is_sent_as_the_servers_own(mock_vllm: MockVLLM) -> None:
    async with AiohttpWire(connect=2.0) as wire:
        await model_names(wire, mock_vllm.base_url, KEY)
    [received] = mock_vllm.requests()
    assert received.headers["authorization"] == f"Bearer {KEY}"


async def test_a_name_that_is_listed_twice_or_is_none_counts_once_or_not_at_all() -> None:
    rows = b'{"data": [{"id": "b"}, {"id": "a"}, {"id": "b"}, {"id": 7}, {"id": " "}]}'
    wire = FakeWire([FakeAnswer(steps=(rows,))])
    assert await model_names(wire, URL, None) == ("b", "a")
    assert wire.given[0].released


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (WireError(Fault.CONNECT, "host:1"), "/models cannot be reached (connect_error)"),
        (WireError(Fault.BROKEN, "reset"), "/models cannot be reached (connection_broken)"),
        (FakeAnswer(steps=(WireError(Fault.BROKEN, "cut"),)), "reached (connection_broken)"),
        (failing(401), "answered 401: set VLLM_API_KEY"),
        (failing(403), "answered 403: set VLLM_API_KEY"),
        (failing(404), "answered 404: VLLM_BASE_URL must end in /v1"),
        (failing(307), "answered 307: VLLM_BASE_URL must end in /v1"),
        (failing(503), "answered 503: it is not ready"),
        (FakeAnswer(steps=(b"<html>",)), "is not a list of models"),
        (FakeAnswer(steps=(b"[]",)), "is not a list of models"),
        (FakeAnswer(steps=(b'{"data": null}',)), "is not a list of models"),
        (FakeAnswer(steps=(b'{"data": ["a"]}',)), "is not a list of models"),
        (FakeAnswer(steps=(b'{"data": [{}]}',)), "is not a list of models"),
        (FakeAnswer(steps=(b'{"data": []}',)), "lists no model"),
    ],
)
async def test_each_failure_has_its_own_text(answer: FakeAnswer | WireError, text: str) -> None:
    told = await trouble(answer)
    assert told.startswith(f"{URL}/models")
    assert text in told


async def test_a_server_that_says_nothing_is_not_waited_for(
    mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_SECONDS", 0.1)
    stuck = Behaviour(path="/v1/models", stall_after=1)
    mock_vllm.script(stuck)
    async with AiohttpWire(connect=2.0) as wire:
        with pytest.raises(NotDiscovered, match=r"no answer within 0\.1 s"):
            await model_names(wire, mock_vllm.base_url, None)
        [received] = await mock_vllm.settled(path="/v1/models")
    assert received.outcome == "client_left"


async def test_a_list_without_end_is_not_read_on(
    mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_BYTES", 1000)
    mock_vllm.script(Behaviour(path="/v1/models", body="x" * 5000))
    async with AiohttpWire(connect=2.0) as wire:
        with pytest.raises(NotDiscovered, match="garbage"):
            await model_names(wire, mock_vllm.base_url, None)


async def test_who_stops_asking_leaves_no_connection_behind(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(path="/v1/models", stall_after=1))
    async with AiohttpWire(connect=2.0) as wire:
        task = asyncio.create_task(model_names(wire, mock_vllm.base_url, None))
        await mock_vllm.arrived(path="/v1/models")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        [received] = await mock_vllm.settled(path="/v1/models")
    assert received.outcome == "client_left"
