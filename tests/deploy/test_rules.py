"""The rules of deploy/prometheus, by Prometheus' own tools: each alert fires when it should, and
not when it should not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from deploy.monitoring.__main__ import HERE, files
from deploy.monitoring.pace import Pace
from deploy.monitoring.rules import alerts
from tests.deploy.alert_cases import CASES, Case, Series
from tests.prometheus_programs import Programs

ALERTS = {alert.name: alert for alert in alerts(Pace())}
PROMETHEUS = HERE / "prometheus"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))


def run(*command: str | Path) -> str:
    """What it prints; an AssertionError with that where it fails."""
    ran = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_every_alert_has_its_case() -> None:
    assert sorted(CASES) == sorted(ALERTS)


def test_promtool_has_nothing_against_the_rules(programs: Programs) -> None:
    printed = run(programs.promtool, "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert f"{len(ALERTS)} rules found" in printed


def test_promtool_takes_shortened_rules_too(programs: Programs, tmp_path: Path) -> None:
    for name, text in files(Pace(60), "1s", "https://wiki.example/").items():
        (tmp_path / Path(name).name).write_text(text)
    run(programs.promtool, "check", "rules", *tmp_path.glob("*.yml"))
    assert "https://wiki.example/docs/runbooks/down.md" in (
        tmp_path / "gateway-alerts.yml"
    ).read_text(encoding="utf-8")


def test_prometheus_takes_its_configuration(programs: Programs) -> None:
    run(programs.promtool, "check", "config", PROMETHEUS / "prometheus.yml")


def test_alertmanager_takes_its_configuration(programs: Programs) -> None:
    run(programs.amtool, "check-config", PROMETHEUS / "alertmanager.yml")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_fires(name: str, programs: Programs, tmp_path: Path) -> None:
    case, alert = CASES[name], ALERTS[name]
    told = {
        "exp_labels": {"severity": alert.severity, **case.labels},
        "exp_annotations": {"summary": case.summary, "runbook_url": alert.runbook},
    }
    look(programs, tmp_path, name, case, case.fires, [told])


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_quiet_near_its_bound(name: str, programs: Programs, tmp_path: Path) -> None:
    look(programs, tmp_path, name, CASES[name], CASES[name].quiet, [])


def look(
    programs: Programs, folder: Path, name: str, case: Case, series: Series, alerts: list[object]
) -> None:
    """promtool compares the alerts that fire then with these, labels and texts too."""
    # Windows of 30 days are slow to compute: only for those who ask for what was recorded.
    needed = [file for file in RULES if "slo" not in file.name or "gw:" in ALERTS[name].expr]
    trial = {
        "rule_files": [str(file) for file in needed],
        "evaluation_interval": case.step,
        "tests": [
            {
                "interval": case.step,
                "input_series": [{"series": one, "values": two} for one, two in series.items()],
                "alert_rule_test": [
                    {"eval_time": case.at, "alertname": name, "exp_alerts": alerts}
                ],
            }
        ],
    }
    file = folder / "trial.yml"
    file.write_text(json.dumps(trial))  # JSON is YAML
    run(programs.promtool, "test", "rules", file)
