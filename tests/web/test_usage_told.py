"""Usage in a stream: a client is told of it what its replica itself would have told it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.shared_gateway import forgetful

DELTAS = ("one", " two", " three", "!")


@pytest.fixture(scope="module")
def _one() -> Iterator[tuple[ServedGateway, MockVLLM]]:
    with (
        MockVLLM.start(model="m") as mock,
        ServedGateway(fleet_on([mock.base_url]), forgetful()) as served,
    ):
        yield served, mock


@pytest.fixture
def one(_one: tuple[ServedGateway, MockVLLM]) -> tuple[ServedGateway, MockVLLM]:
    _one[1].renew()
    return _one


def told(url: str, options: dict[str, Any] | None, **more: Any) -> list[tuple[Any, Any]]:
    """Of each chunk its choices and its usage."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True, **more}
    if options is not None:
        body["stream_options"] = options
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20)
    *payloads, last = [line[6:] for line in answer.text.split("\n\n") if line]
    assert last == "[DONE]", answer.text
    chunks = [json.loads(one) for one in payloads]
    return [(chunk["choices"], chunk.get("usage")) for chunk in chunks]


OPTIONS: list[dict[str, Any] | None] = [
    None,
    {},
    {"include_usage": True},
    {"include_usage": False},
    {"include_usage": None},
    {"continuous_usage_stats": True},
    {"include_usage": True, "continuous_usage_stats": True},
    {"include_usage": True, "continuous_usage_stats": False},
    {"include_usage": False, "continuous_usage_stats": True},
]


@pytest.mark.parametrize("more", [{}, {"n": 2}], ids=["one answer", "two answers"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_what_the_replica_would_say_to_whoever_asks_it_directly(
    one: tuple[ServedGateway, MockVLLM],
    options: dict[str, Any] | None,
    more: dict[str, Any],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=DELTAS))
    assert told(gateway.url, options, **more) == told(mock.url, options, **more)


@pytest.mark.parametrize("usage", ["always", "twice", "on_finish"])
def test_who_has_not_asked_hears_of_none_whatever_the_replica_does(
    one: tuple[ServedGateway, MockVLLM], usage: Any
) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=DELTAS, usage=usage))
    assert {usage for _, usage in told(gateway.url, None)} == {None}


@pytest.mark.parametrize("usage", ["always", "twice", "on_finish"])
def test_who_has_asked_hears_of_it_once_at_the_end(
    one: tuple[ServedGateway, MockVLLM], usage: Any
) -> None:
    gateway, mock = one
    mock.script(Behaviour(deltas=DELTAS, usage=usage))
    *before, last = told(gateway.url, {"include_usage": True})
    assert {usage for _, usage in before} == {None}
    assert (last[0], last[1]["completion_tokens"]) == ([], len(DELTAS))
