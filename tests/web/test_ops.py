"""For operators: is it alive, can it answer, what does it count."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from gateway.plan import Fleet
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

QUICK = {"interval_s": 0.05, "timeout_s": 0.5}
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
    model = ready.json()["models"]["mock"]
    assert (model["replicas"], model["healthy"]) == (1, 1)
    [state] = model["states"]
    assert (state["id"], state["state"], state["why"], state["last_fault"]) == (
        *("r0", "healthy", ""),
        None,
    )


def test_without_a_replica_in_rotation_it_is_alive_but_not_ready_and_says_why(
    gateway: ServedGateway, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(status=500))
    for _ in range(2):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
    ready = httpx.get(f"{gateway.url}/readyz")
    assert ready.status_code == 503
    assert "rotation" in ready.json()["reason"]
    model = ready.json()["models"]["mock"]
    assert (model["replicas"], model["healthy"]) == (1, 0)
    [state] = model["states"]
    assert (state["state"], state["last_fault"]) == ("cooling", "server_error")
    assert state["why"].startswith("server_error, ")
    assert 0 <= state["last_fault_seconds"] < 60
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


def states(gateway: ServedGateway) -> dict[str, str]:
    rows = httpx.get(f"{gateway.url}/readyz").json()["models"]["mock"]["states"]
    return {row["id"]: row["state"] for row in rows}


def metric(gateway: ServedGateway, series: str) -> float | None:
    for line in httpx.get(f"{gateway.url}/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == series:
            return float(value)
    return None


def wait_for(gateway: ServedGateway, replica: str, state: str) -> None:
    """Until /readyz says so: asked again and again, because nothing else tells it outside."""
    ends = time.monotonic() + 10
    while states(gateway)[replica] != state:
        assert time.monotonic() < ends, f"{replica} is {states(gateway)[replica]}"


def test_a_replica_that_dies_and_comes_back_is_seen_in_readyz_and_metrics(
    mock_vllm_factory: MockFleet,
) -> None:
    mocks = [mock_vllm_factory(model="mock"), mock_vllm_factory(model="mock")]
    fleet = fleet_on([mock.base_url for mock in mocks], model="mock")
    with ServedGateway(fleet, Settings(health=QUICK)) as gateway:  # type: ignore[arg-type]
        assert states(gateway) == {"r0": "healthy", "r1": "healthy"}
        assert metric(gateway, 'gw_upstream_up{replica="r0"}') == 1
        mocks[0].kill()
        wait_for(gateway, "r0", "unhealthy")
        assert metric(gateway, 'gw_upstream_up{replica="r0"}') == 0
        assert metric(gateway, 'gw_replica_state{replica="r0",state="unhealthy"}') == 1
        assert metric(gateway, 'gw_replica_state{replica="r0",state="healthy"}') == 0
        for _ in range(8):
            answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
            assert answer.headers["x-gateway-replica"] == "r1"
            assert answer.headers["x-gateway-attempts"] == "1"
        mocks[0].restart()
        wait_for(gateway, "r0", "half_open")
        assert metric(gateway, 'gw_upstream_up{replica="r0"}') == 1
        for _ in range(20):
            httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
        assert states(gateway) == {"r0": "healthy", "r1": "healthy"}


def test_when_probes_are_wrong_about_all_replicas_calls_are_answered_all_the_same(
    mock_vllm: MockVLLM,
) -> None:
    mock_vllm.script(Behaviour(path="/health", status=503))
    fleet = fleet_on([mock_vllm.base_url], model="mock")
    settings = Settings(health={**QUICK, "interval_s": 30, "jitter": 0, "unhealthy_after": 1})  # type: ignore[arg-type]
    with ServedGateway(fleet, settings) as gateway:
        wait_for(gateway, "r0", "unhealthy")
        assert httpx.get(f"{gateway.url}/readyz").status_code == 503
        assert httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED).status_code == 200
        assert states(gateway) == {"r0": "healthy"}, "an answer is better proof than a probe"
