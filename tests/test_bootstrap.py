"""A gateway without HTTP: it answers, finds a server that comes up late, moves house whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gateway.adapters import discovery
from gateway.bootstrap import Gateway, open_gateway
from gateway.client import LLMError, chat
from gateway.plan import Fleet, plan_of
from gateway.settings import Settings
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import fleet_on
from gateway.web.ops import readiness
from tests.otlp_metrics_sink import MetricsSink

MESSAGES = [{"role": "user", "content": "hi"}]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_a_gateway_without_http_answers(mock_vllm: MockVLLM) -> None:
    async with open_gateway(Settings(), fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        answer = await chat(gateway.answers, MESSAGES, model="mock")
    assert answer.text
    assert answer.finish_reason == "stop"


async def test_metrics_are_pushed_while_a_gateway_runs_and_once_more_at_its_end(
    mock_vllm: MockVLLM,
) -> None:
    with MetricsSink() as sink:
        told = {"otlp_endpoint": sink.endpoint, "otlp_metrics": True}
        settings = Settings.model_validate({"telemetry": {**told, "otlp_metrics_interval_s": 0.05}})
        fleet = fleet_on([mock_vllm.base_url], model="mock")
        async with open_gateway(settings, fleet) as gateway:
            looked_at = {one.name for one in await asyncio.to_thread(sink.wait_for_push)}
            await chat(gateway.answers, MESSAGES, model="mock")
        [requests] = [one for one in sink.pushes[-1] if one.name == "gw_requests_total"]
    assert "gw_pool_connections" in looked_at
    assert requests.value == 1


async def test_a_server_that_comes_up_late_is_found(
    mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_ASK_AGAIN_SECONDS", 0.02)
    mock_vllm.refuse()
    gateway = Gateway(Settings(), Fleet("upstream", None, mock_vllm.base_url))
    async with gateway.running():
        assert gateway.router.models() == ()
        assert "cannot be reached" in gateway.trouble
        with pytest.raises(LLMError):
            await chat(gateway.answers, MESSAGES, model="mock")
        mock_vllm.accept()
        await until(lambda: gateway.router.models() == ("mock",))
        assert gateway.trouble == ""
        assert (await chat(gateway.answers, MESSAGES, model="mock")).text


async def test_names_that_change_are_taken_over_and_a_server_that_is_gone_keeps_them(
    mock_vllm_factory: Callable[..., MockVLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(discovery, "_ASK_AGAIN_SECONDS", 0.02)
    mock = mock_vllm_factory(model="old")
    gateway = Gateway(Settings(), Fleet("upstream", None, mock.base_url))
    async with gateway.running():
        assert gateway.router.models() == ("old",)
        assert (await readiness(gateway)).ready
        mock.refuse()
        await until(lambda: gateway.trouble != "")
        assert gateway.router.models() == ("old",)
        gone = await readiness(gateway)
        assert not gone.ready
        assert "cannot be reached" in gone.reason
        mock.accept()
        await until(lambda: gateway.trouble == "")
        assert (await readiness(gateway)).ready
        mock.script({"path": "/v1/models", "body": '{"data": [{"id": "new"}]}'})
        await until(lambda: gateway.router.models() == ("new",))


async def test_moving_house_changes_what_new_calls_get_and_keeps_what_lasts(
    mock_vllm: MockVLLM,
) -> None:
    fleet = fleet_on([mock_vllm.base_url], model="mock")
    async with open_gateway(Settings(), fleet) as gateway:
        old, lasting = gateway.house, (gateway.router, gateway.telemetry, gateway.admission)
        litellms = gateway.router._router
        fresh = gateway.build(plan_of(Settings(timeouts={"total_s": 7}), fleet))  # type: ignore[arg-type]
        assert gateway.house is old
        gateway.move_in(fresh)
        assert gateway.house.timeouts.total == 7
        assert gateway.answers is fresh.answers
        assert (gateway.router, gateway.telemetry, gateway.admission) == lasting
        assert gateway.router._router is litellms, "cooldowns go with LiteLLM's Router"
        assert (await chat(gateway.answers, MESSAGES, model="mock")).text
        assert (await chat(old.answers, MESSAGES, model="mock")).text


async def test_a_house_that_litellm_refuses_changes_nothing(mock_vllm: MockVLLM) -> None:
    fleet = fleet_on([mock_vllm.base_url], model="mock")
    async with open_gateway(Settings(), fleet) as gateway:
        old = gateway.house
        wrong = fleet_on([mock_vllm.base_url], router_settings={"routing_strategy": "no-such"})
        with pytest.raises(ValueError, match="no-such"):
            gateway.move_in(gateway.build(plan_of(Settings(), wrong)))
        assert gateway.house is old
        assert (await chat(gateway.answers, MESSAGES, model="mock")).text
