"""Limits and budgets through a served gateway: never passed, given back, told as OpenAI does."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import Paths, PolicyEntry, Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

SHIPPED = Path(__file__).parents[2] / "policies"
CALLERS = 200
BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}

Serve = Callable[..., AbstractContextManager[str]]


@pytest.fixture
def serve(mock_vllm_factory: MockFleet) -> tuple[Serve, MockVLLM]:
    """A gateway with these policies (`ratelimit={…}`) in front of one mock; gives its URL."""
    mock = mock_vllm_factory(model="m")

    @contextmanager
    def served(**policies: dict[str, Any]) -> Iterator[str]:
        chain = tuple(PolicyEntry(use=use, settings=given) for use, given in policies.items())
        settings = Settings(policies=chain, paths=Paths(policies_dir=SHIPPED))
        with ExitStack() as stack:
            gateway = stack.enter_context(ServedGateway(fleet_on([mock.base_url]), settings))
            yield f"{gateway.url}/v1/chat/completions"

    return served, mock


async def crowd(url: str, count: int, **body: Any) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(trust_env=False, verify=False, limits=limits, timeout=60) as http:
        return await asyncio.gather(*(http.post(url, json={**BODY, **body}) for _ in range(count)))


@pytest.mark.parametrize("stream", [False, True])
async def test_two_hundred_callers_at_once_never_pass_a_limit_of_calls(
    serve: tuple[Serve, MockVLLM], stream: bool
) -> None:
    served, mock = serve
    with served(ratelimit={"rules": [{"per": "key", "requests": 20, "every": "day"}]}) as url:
        answers = await crowd(url, CALLERS, stream=stream)
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] * 20 + [429] * (CALLERS - 20)
    assert len([one for one in mock.requests() if one.path == "/v1/chat/completions"]) == 20


async def test_callers_that_bound_nothing_do_not_overspend_either(
    serve: tuple[Serve, MockVLLM],
) -> None:
    """Each answer nearly fills the window of 4096 tokens, and all of them come at once."""
    served, mock = serve
    mock.script(Behaviour(tokens=4000))
    with served(budget={"rules": [{"per": "team", "tokens": 20_000}]}) as url:
        answers = await crowd(url, 60, max_tokens=None)
    used = [one.json()["usage"]["total_tokens"] for one in answers if one.status_code == 200]
    assert min(used) > 4000
    assert sum(used) <= 20_000
    refused = [one.json()["error"]["message"] for one in answers if one.status_code == 429]
    assert len(used) + len(refused) == 60
    assert all("Name max_tokens to ask for less." in message for message in refused)
    assert len(used) == 4, "as many as have room for a window each"


async def test_two_hundred_callers_at_once_never_overspend_a_budget(
    serve: tuple[Serve, MockVLLM],
) -> None:
    served, _ = serve
    with served(budget={"rules": [{"per": "team", "tokens": 300}]}) as url:
        answers = await crowd(url, CALLERS, max_tokens=8)
    answered = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert len(answered) >= 20
    assert sum(answer["usage"]["total_tokens"] for answer in answered) <= 300


async def test_as_many_as_may_run_at_once_do_and_each_place_comes_back(
    serve: tuple[Serve, MockVLLM],
) -> None:
    served, mock = serve
    mock.script(Behaviour(delay_headers=0.5))
    with served(concurrency={"rules": [{"per": "key", "calls": 4}]}) as url:
        first = await crowd(url, 40)
        codes = [answer.status_code for answer in first]
        assert codes.count(200) == 4
        (refused,) = {a.headers["retry-after"] for a in first if a.status_code == 429}
        assert refused == "1"
        assert [one.status_code for one in await crowd(url, 4)] == [200] * 4


async def test_clients_read_of_their_limits_as_from_openai(serve: tuple[Serve, MockVLLM]) -> None:
    served, _ = serve
    with served(ratelimit={"rules": [{"per": "key", "requests": 2, "tokens": 1000}]}) as url:
        first, second, third = [(await crowd(url, 1))[0] for _ in range(3)]
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-tokens"] == "986"
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert third.status_code == 429
    assert third.json()["error"]["code"] == "rate_limit_exceeded"
    assert third.json()["error"]["type"] == "requests"
    assert 0 < int(third.headers["retry-after"]) <= 61
    assert third.headers["x-ratelimit-remaining-requests"] == "0"


async def test_what_was_reserved_and_not_used_may_be_used_again(
    serve: tuple[Serve, MockVLLM],
) -> None:
    served, _ = serve
    with served(budget={"rules": [{"per": "team", "tokens": 400}]}) as url:
        for _ in range(3):
            (answer,) = await crowd(url, 1, max_tokens=300)
            assert answer.status_code == 200
        (answer,) = await crowd(url, 1, max_tokens=500)
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert answer.headers["x-should-retry"] == "false"


async def test_a_traced_chain_tells_verdicts_and_times_and_no_content(
    mock_vllm_factory: MockFleet, caplog: pytest.LogCaptureFixture
) -> None:
    entry = PolicyEntry(use="ratelimit", settings={"rules": [{"requests": 1}]})
    settings = Settings(
        policies=(entry,),
        paths=Paths(policies_dir=SHIPPED),
        telemetry={"trace_policies": True},  # type: ignore[arg-type]
    )
    with (
        ServedGateway(fleet_on([mock_vllm_factory(model="m").base_url]), settings) as gateway,
        caplog.at_level(logging.INFO, "gateway.guard"),
    ):
        await crowd(f"{gateway.url}/v1/chat/completions", 1)
    traced = [r.__dict__["fields"] for r in caplog.records if r.message == "policy.trace"]
    assert [(one["policy"], one["moment"], one["verdict"]) for one in traced] == [
        ("ratelimit", "before", "allowed")
    ]
    assert "hi" not in json.dumps(traced).replace("which", "")
