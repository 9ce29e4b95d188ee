"""A real Prometheus scrapes a real gateway, and alerts go off in a real Alertmanager."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.prometheus_programs import Programs, fetched
from tests.prometheus_server import PrometheusServer, prometheus_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = [
    pytest.mark.live,
    pytest.mark.skip("Alertmanager of an unpacked package does not find its default.tmpl"),
]
FASTER = 60.0
FIRES_WITHIN_S = 90.0


@pytest.fixture(scope="module")
def programs() -> Programs:
    """Fetched where they are missing."""
    return fetched()


@pytest.fixture
def mock() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture
def served(mock: MockVLLM, tmp_path: Path) -> Iterator[ServedCommand]:
    """A gateway with one replica, two workers."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    model = {"model": "hosted_vllm/m", "api_base": mock.base_url}
    one = {"model_name": "m", "litellm_params": model, "model_info": {"id": "r0"}}
    (folder / "litellm_config.yaml").write_text(json.dumps({"model_list": [one]}))
    with served_command(folder, "--workers", "2") as command:
        yield command


@pytest.fixture
def prometheus(
    programs: Programs, served: ServedCommand, tmp_path: Path
) -> Iterator[PrometheusServer]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    target = urlsplit(served.url).netloc
    with prometheus_server(programs, folder, {"gateway": [target]}, FASTER) as server:
        until(lambda: bool(server.value('up{job="gateway"} == 1')), 30, "scraped")
        yield server


def ask(served: ServedCommand, times: int) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(times):
        httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60)


def test_failing_calls_burn_the_budget_and_a_dead_replica_is_told(
    mock: MockVLLM, served: ServedCommand, prometheus: PrometheusServer
) -> None:
    ask(served, 5)
    mock.script(Behaviour(status=500))

    def burns() -> bool:
        ask(served, 3)
        return "GwErrorBudgetBurnFast" in prometheus.firing()

    until(burns, FIRES_WITHIN_S, "GwErrorBudgetBurnFast")
    mock.kill()
    wanted = {"GwReplicaDown", "GwAllReplicasDown"}
    until(lambda: wanted <= prometheus.firing(), FIRES_WITHIN_S, f"{wanted}")


def test_a_gateway_that_is_gone_is_told(
    served: ServedCommand, prometheus: PrometheusServer
) -> None:
    served.process.terminate()
    served.process.wait(60)
    until(lambda: "GwDown" in prometheus.firing(), FIRES_WITHIN_S, "GwDown")
