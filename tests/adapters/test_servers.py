"""Servers are asked whether they live and how busy they are, once for all their replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.adapters.servers import Server, load, probe, servers_of
from gateway.adapters.transport import AiohttpWire
from gateway.domain.ports import Replica
from gateway.testing.mock_vllm import Behaviour, MockVLLM


def replica(key: str, url: str = "http://one.test/v1", model: str = "m") -> Replica:
    return Replica(key, model, model, url, api_key="upstream-key", headers={"x-zone": "eu"})


@pytest.fixture
async def wire() -> AsyncIterator[AiohttpWire]:
    async with AiohttpWire(connect=1.0) as wire:
        yield wire


def server(mock: MockVLLM) -> Server:
    [found] = servers_of([replica("a", mock.base_url)]).values()
    return found


def test_one_server_stands_behind_all_replicas_with_its_address() -> None:
    given = [
        replica("a"),
        replica("b", model="n"),
        replica("c", "http://two.test"),
        replica("d", ""),
    ]
    found = servers_of(given)
    assert {one.root: [r.id for r in one.replicas] for one in found.values()} == {
        "http://one.test": ["a", "b"],
        "http://two.test": ["c"],
    }


async def test_a_healthy_server_is_alive(wire: AiohttpWire, mock_vllm: MockVLLM) -> None:
    assert await probe(wire, server(mock_vllm), 2.0) == ""
    [seen] = mock_vllm.requests("/health")
    assert seen.method == "GET"
    assert seen.headers["authorization"] == "Bearer upstream-key"
    assert seen.headers["x-zone"] == "eu"


@pytest.mark.parametrize("status", [404, 405])
async def test_without_a_health_page_the_list_of_models_is_asked_for(
    wire: AiohttpWire, mock_vllm: MockVLLM, status: int
) -> None:
    mock_vllm.script(Behaviour(path="/health", status=status))
    assert await probe(wire, server(mock_vllm), 2.0) == ""
    assert len(mock_vllm.requests("/v1/models")) == 1
    mock_vllm.script(
        Behaviour(path="/health", status=status), Behaviour(path="/v1/models", status=502)
    )
    assert await probe(wire, server(mock_vllm), 2.0) == "GET /models: 502"


@pytest.mark.parametrize("status", [200, 401, 403, 429])
async def test_whatever_is_below_500_is_a_sign_of_life(
    wire: AiohttpWire, mock_vllm: MockVLLM, status: int
) -> None:
    mock_vllm.script(Behaviour(path="/health", status=status))
    assert await probe(wire, server(mock_vllm), 2.0) == ""


async def test_a_dead_server_is_told_from_a_silent_and_a_failing_one(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(path="/health", status=503))
    assert await probe(wire, server(mock_vllm), 2.0) == "GET /health: 503"
    mock_vllm.script(Behaviour(path="/health", before_headers="hang"))
    assert await probe(wire, server(mock_vllm), 0.1) == "GET /health: no answer within 0.1 s"
    mock_vllm.script(Behaviour(path="/health", before_headers="reset"))
    assert await probe(wire, server(mock_vllm), 2.0) == "GET /health: connection_broken"
    mock_vllm.refuse()
    assert await probe(wire, server(mock_vllm), 2.0) == "GET /health: connect_error"


async def test_the_load_is_what_the_metrics_page_says(
    wire: AiohttpWire, mock_vllm: MockVLLM
) -> None:
    mock_vllm.load(waiting=3, kv_cache_usage=0.5)
    said = await load(wire, server(mock_vllm), 2.0, 7.0)
    assert said is not None
    assert (said.waiting, said.kv, said.at) == (3.0, 0.5, 7.0)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(path="/metrics", status=501),
        Behaviour(path="/metrics", before_headers="hang"),
        Behaviour(path="/metrics", before_headers="reset"),
        Behaviour(path="/metrics", body="<html>"),
    ],
    ids=["501", "hang", "reset", "no metrics"],
)
async def test_a_load_that_is_not_told_is_unknown(
    wire: AiohttpWire, mock_vllm: MockVLLM, behaviour: Behaviour
) -> None:
    mock_vllm.script(behaviour)
    assert await load(wire, server(mock_vllm), 0.2, 0.0) is None
