"""A real Prometheus and a real Alertmanager on ports of their own, for live tests."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.monitoring.__main__ import files
from deploy.monitoring.pace import Pace
from tests.prometheus_programs import Programs, alertmanager_of
from tests.served_command import until

STARTED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """Where both answer."""

    url: str
    alertmanager: str

    def value(self, expr: str) -> list[dict[str, Any]]:
        """The series of an instant query, now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=30)
        assert answer.status_code == 200, f"{expr}: {answer.text}"
        result = answer.json()["data"]["result"]
        return list(result) if isinstance(result, list) else []

    def firing(self) -> set[str]:
        """Names of the alerts that Alertmanager has and that are not over."""
        answer = httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=30)
        return {one["labels"]["alertname"] for one in answer.json()}


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def prometheus_server(
    programs: Programs, folder: Path, jobs: Mapping[str, Mapping[str, str]], divide: float
) -> Iterator[PrometheusServer]:
    """Scrapes `jobs` (name → host:port → its label `replica`, "" for none) each second, with the
    project's rules sped up by `divide`, and sends what fires to an Alertmanager."""
    rules = folder / "rules"
    rules.mkdir()
    for name, text in files(Pace(divide), "1s").items():
        if name.endswith(".yml"):
            (rules / Path(name).name).write_text(text)
    port, other = _port(), _port()
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules / "*.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{other}"]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [_target(*one) for one in targets.items()]}
            for job, targets in jobs.items()
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration))  # JSON is YAML
    (folder / "alertmanager.yml").write_text('route: {receiver: r}\nreceivers: [{name: "r"}]\n')
    server = PrometheusServer(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{other}")
    with ExitStack() as stack:
        stack.enter_context(
            _running(folder, *alertmanager_of(programs), "--config.file=alertmanager.yml",
                     "--storage.path=am", f"--web.listen-address=127.0.0.1:{other}",
                     "--cluster.listen-address=")
        )  # fmt: skip
        stack.enter_context(
            _running(folder, programs.prometheus, "--config.file=prometheus.yml",
                     "--storage.tsdb.path=tsdb", f"--web.listen-address=127.0.0.1:{port}",
                     "--enable-feature=exemplar-storage")
        )  # fmt: skip
        for url in (server.url, server.alertmanager):
            until(lambda url=url: _ready(url), STARTED_WITHIN_S, f"ready: {url}")  # type: ignore[misc]
        yield server


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _target(place: str, replica: str) -> dict[str, Any]:
    return {"targets": [place], **({"labels": {"replica": replica}} if replica else {})}


@contextmanager
def _running(folder: Path, *command: str | Path) -> Iterator[None]:
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()
