"""For operators: is it alive, can it answer, what does it count."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from gateway.bootstrap import Fleet
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on

ASKED = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def gateway(mock_vllm: MockVLLM) -> Iterator[ServedGateway]:
    fleet = fleet_on(
        [mock_vllm.base_url],
        model="mock",
        router_settings={"allowed_fails": 0, "cooldown_time": 60, "num_retries": 0},
    )
    with ServedGateway(fleet) as served:
        yield served


def test_a_gateway_with_a_replica_in_rotation_is_alive_and_ready(gateway: ServedGateway) -> None:
    assert httpx.get(f"{gateway.url}/healthz").text == "ok\n"
    ready = httpx.get(f"{gateway.url}/readyz")
    assert ready.status_code == 200
    assert ready.json()["models"] == {"mock": {"replicas": 1, "healthy": 1}}


def test_without_a_replica_in_rotation_it_is_alive_but_not_ready_and_says_why(
    gateway: ServedGateway, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(status=500))
    for _ in range(2):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
    ready = httpx.get(f"{gateway.url}/readyz")
    assert ready.status_code == 503
    assert "rotation" in ready.json()["reason"]
    assert ready.json()["models"] == {"mock": {"replicas": 1, "healthy": 0}}
    assert httpx.get(f"{gateway.url}/healthz").status_code == 200


def test_while_no_server_has_told_its_models_it_is_not_ready_and_calls_are_503(
    mock_vllm: MockVLLM,
) -> None:
    mock_vllm.refuse()
    with ServedGateway(Fleet("upstream", None, mock_vllm.base_url)) as gateway:
        ready = httpx.get(f"{gateway.url}/readyz")
        assert ready.status_code == 503
        assert "cannot be reached" in ready.json()["reason"]
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_requests_durations_and_tokens_are_counted(gateway: ServedGateway) -> None:
    usage = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED).json()["usage"]
    answer = httpx.get(f"{gateway.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    counted = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"
    }
    labels = 'model="mock",outcome="completed",route="/v1/chat/completions",team="anonymous"'
    assert counted[f"gw_requests_total{{{labels}}}"] == 1
    assert any(name.startswith("gw_request_duration_seconds_count") for name in counted)
    for side, tokens in (("input", usage["prompt_tokens"]), ("output", usage["completion_tokens"])):
        name = f"gen_ai_client_inference_usage_{side}_tokens_total"
        assert sum(value for key, value in counted.items() if key.startswith(name)) == tokens


def test_a_prometheus_that_asks_for_openmetrics_gets_it(gateway: ServedGateway) -> None:
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = httpx.get(f"{gateway.url}/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
