"""Writes deploy/grafana/dashboards and deploy/prometheus/rules: `python -m deploy.monitoring`."""

from __future__ import annotations

import argparse
from pathlib import Path

from deploy.monitoring.boards import boards
from deploy.monitoring.grafana import dashboard_json
from deploy.monitoring.pace import Pace
from deploy.monitoring.rules import alert_file, recording_file

HERE = Path(__file__).parents[1]


def files(pace: Pace, every: str = "30s", runbooks: str = "") -> dict[str, str]:
    """Every generated file: its path below deploy/, its text."""
    rules = "prometheus/rules"
    return {
        f"{rules}/gateway-slo.yml": recording_file(pace, every),
        f"{rules}/gateway-alerts.yml": alert_file(pace, every, runbooks),
        **{f"grafana/dashboards/{one.uid}.json": dashboard_json(one) for one in boards()},
    }


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(prog="python -m deploy.monitoring", description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    parser.add_argument(
        "--runbooks", default="", help="put before each runbook's path: https://wiki/…/"
    )
    parser.add_argument(
        "--divide", type=float, default=1.0, help="divide all times of rules, for a trial"
    )
    parser.add_argument("--every", default="30s", help="how often rules are evaluated")
    given = parser.parse_args()
    for name, text in files(Pace(given.divide), given.every, given.runbooks).items():
        path = given.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
