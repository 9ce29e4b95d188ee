"""What operators see is there and true: a real Prometheus scrapes a real gateway under traffic of
every kind, each panel shows something, and alerts go off in a real Alertmanager."""

from __future__ import annotations

import math
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.monitoring.boards import boards
from tests.deploy.promql import filled
from tests.deploy.test_monitoring import UNCHARTED
from tests.live.vllm_server import Replica
from tests.live.watched import Scene, watched
from tests.prometheus_programs import fetched
from tests.prometheus_server import PrometheusServer, prometheus_server
from tests.served_command import until

pytestmark = pytest.mark.live

FASTER = 60.0
FIRES_WITHIN_S = 150.0
PANELS = [
    pytest.param(board.title, panel.title, query.expr, id=f"{board.title}: {panel.title} {number}")
    for board in boards()
    for row in board.rows
    for panel in row.panels
    for number, query in enumerate(panel.queries)
]
# What nothing here brings about, and why.
SILENT: dict[str, str] = {}
# In the order in which they are waited for: what takes longest first.
FIRING = (
    "GwErrorBudgetBurnFast",
    "GwTimeouts504",
    "GwStreamTruncated",
    "GwCancelSpike",
    "GwRetryStorm",
    "GwFallbackActive",
    "GwAuthFailureSpike",
    "GwPolicyErrors",
    "GwBudget80",
    "GwTelemetryDropping",
)


@pytest.fixture(scope="module")
def scene(
    vllm_replicas: tuple[Replica, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    """One gateway for all of these tests, under traffic from now on."""
    folder = tmp_path_factory.mktemp("watched")
    with watched(folder, vllm_replicas[:1]) as scene, scene.traffic():
        yield scene


@pytest.fixture(scope="module")
def prometheus(
    scene: Scene,
    vllm_replicas: tuple[Replica, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PrometheusServer]:
    """Prometheus and Alertmanager with the project's rules, sixty times as fast."""
    folder = tmp_path_factory.mktemp("prometheus")
    vllm = urlsplit(vllm_replicas[0].base_url).netloc
    targets = {"gateway": {urlsplit(scene.served.url).netloc: ""}, "vllm": {vllm: "vllm-0"}}
    with prometheus_server(fetched(), folder, targets, FASTER) as server:
        until(lambda: bool(server.value('up{job="gateway"} == 1')), 30, "scraped")
        yield server


def shows(prometheus: PrometheusServer, expr: str) -> bool:
    """Whether the query gives a number now."""
    return any(not math.isnan(float(one["value"][1])) for one in prometheus.value(expr))


@pytest.mark.parametrize(("board", "panel", "expr"), PANELS)
def test_every_query_of_every_panel_shows_something(
    prometheus: PrometheusServer, board: str, panel: str, expr: str
) -> None:
    query = filled(expr).replace("[1m]", "[20s]").replace("[1h]", "[60s]")
    if f"{board}: {panel}" in SILENT:
        pytest.skip(SILENT[f"{board}: {panel}"])
    until(lambda: shows(prometheus, query), FIRES_WITHIN_S, f"{panel}: {query}")


def test_every_family_that_is_exported_is_on_a_panel_or_excused(scene: Scene) -> None:
    page = httpx.get(f"{scene.served.url}/metrics").text
    families = {line.split()[2] for line in page.splitlines() if line.startswith("# TYPE ")}
    read = " ".join(expr for _, _, expr in (param.values for param in PANELS))
    alone = {"process_virtual_memory_bytes", "process_start_time_seconds"}
    missing = {one for one in families if one.removesuffix("_total") not in read}
    assert missing - UNCHARTED.keys() - alone == set()


@pytest.mark.parametrize("alert", FIRING)
def test_an_alert_goes_off_in_alertmanager(prometheus: PrometheusServer, alert: str) -> None:
    until(lambda: alert in prometheus.firing(), FIRES_WITHIN_S, f"firing: {alert}")


def test_a_broken_file_is_told_and_forgotten_once_it_is_whole(
    scene: Scene, prometheus: PrometheusServer
) -> None:
    file = scene.folder / "config" / "gateway.yaml"
    before = file.read_text()
    file.write_text(before + "\nnonsense: [")
    until(lambda: "GwConfigReloadFailed" in prometheus.firing(), FIRES_WITHIN_S, "told")
    file.write_text(before)
    until(lambda: "GwConfigReloadFailed" not in prometheus.firing(), FIRES_WITHIN_S, "forgotten")


def test_each_alert_says_what_to_do(prometheus: PrometheusServer) -> None:
    answer = httpx.get(f"{prometheus.alertmanager}/api/v2/alerts", timeout=30).json()
    ours = [one for one in answer if one["labels"]["alertname"].startswith(("Gw", "Vllm"))]
    assert ours
    for one in ours:
        assert one["labels"]["severity"] in ("page", "ticket")
        runbook = Path(urlsplit(one["annotations"]["runbook_url"]).path)
        assert (Path("docs/runbooks") / runbook.name).exists()


def test_what_dies_is_told(scene: Scene, prometheus: PrometheusServer) -> None:
    """The last one: nothing answers afterwards."""
    scene.mocks["long"].kill()
    until(lambda: "GwReplicaDown" in prometheus.firing(), FIRES_WITHIN_S, "GwReplicaDown")
    scene.served.stop(signal.SIGTERM)
    until(lambda: "GwDown" in prometheus.firing(), FIRES_WITHIN_S, "GwDown")
