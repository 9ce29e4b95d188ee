"""The served gateway: a real one behind a real socket, up when entered and gone afterwards."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

ASKED = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def reachable(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 0), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_fleet_names_its_replicas_as_a_file_would() -> None:
    fleet = fleet_on(["http://a.test/v1", "http://b.test/v1"], model="coder")
    assert fleet.source == "file"
    assert fleet.config is not None
    first, second = fleet.config.as_router_kwargs()["model_list"]
    assert (first["model_name"], second["model_name"]) == ("coder", "coder")
    assert first["litellm_params"]["model"] == "hosted_vllm/coder"
    assert second["litellm_params"]["api_base"] == "http://b.test/v1"
    assert [one["model_info"]["id"] for one in (first, second)] == ["r0", "r1"]


def test_router_settings_are_litellms() -> None:
    fleet = fleet_on(["http://a.test/v1"], router_settings={"num_retries": 1})
    assert fleet.config is not None
    assert fleet.config.as_router_kwargs()["num_retries"] == 1


def test_it_answers_as_soon_as_it_is_entered_and_only_on_loopback(mock_vllm: MockVLLM) -> None:
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        assert urlsplit(gateway.url).hostname == "127.0.0.1"
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
        assert answer.status_code == 200
    assert len(mock_vllm.requests("/v1/chat/completions")) == 1


def test_it_is_gone_afterwards(mock_vllm: MockVLLM) -> None:
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        url = gateway.url
        assert reachable(url)
    assert not reachable(url)


def test_two_gateways_do_not_know_of_each_other(mock_vllm_factory: MockFleet) -> None:
    mocks = [mock_vllm_factory(model="one"), mock_vllm_factory(model="two")]
    with (
        ServedGateway(fleet_on([mocks[0].base_url], model="one")) as first,
        ServedGateway(fleet_on([mocks[1].base_url], model="two")) as second,
    ):
        assert first.url != second.url
        listed = [
            [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]
            for url in (first.url, second.url)
        ]
    assert listed == [["one"], ["two"]]


def test_its_settings_are_those_that_it_was_given(mock_vllm: MockVLLM) -> None:
    settings = Settings(server={"max_body_bytes": 1024})  # type: ignore[arg-type]
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock"), settings) as gateway:
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=b"x" * 2000)
    assert answer.status_code == 413


async def test_a_test_may_wait_for_it_on_an_event_loop_of_its_own(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(delay_first=0.05))
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        async with httpx.AsyncClient() as http:
            url = f"{gateway.url}/v1/chat/completions"
            answers = await asyncio.gather(*(http.post(url, json=ASKED) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}


def test_stopping_lets_what_runs_finish_and_takes_nothing_new(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(tokens=5, delay_between=0.03))
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        url = f"{gateway.url}/v1/chat/completions"
        with httpx.stream("POST", url, json={**ASKED, "stream": True}) as answer:
            pieces = answer.iter_text()
            said = next(pieces)
            gateway.stop()
            said += "".join(pieces)
    assert said.endswith("data: [DONE]\n\n")
    assert not reachable(gateway.url)


def test_a_gateway_that_cannot_start_says_so_and_leaves_no_socket() -> None:
    fleet = fleet_on(["http://a.test/v1"], router_settings={"routing_strategy": "by-the-moon"})
    gateway = ServedGateway(fleet)
    with pytest.raises(RuntimeError, match="did not start"), gateway:
        raise AssertionError("not reached")
    assert not reachable(gateway.url)


def test_a_gateway_that_cannot_even_be_made_leaves_no_socket() -> None:
    settings = Settings(policies=[{"use": "no_such_policy"}])  # type: ignore[arg-type]
    with pytest.raises(Exception, match="no_such_policy"):
        ServedGateway(fleet_on(["http://a.test/v1"]), settings)
