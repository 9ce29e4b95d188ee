"""Prometheus' rule files from the rules of this package."""

from __future__ import annotations

import json

from deploy.monitoring.alert import Alert
from deploy.monitoring.inner_alerts import inner_alerts
from deploy.monitoring.pace import Pace
from deploy.monitoring.replica_alerts import replica_alerts
from deploy.monitoring.service_alerts import service_alerts
from deploy.monitoring.slo import recordings
from deploy.monitoring.use_alerts import use_alerts

_MADE = "# Made by `make docs` from deploy/monitoring; do not edit.\n"


def groups(pace: Pace) -> dict[str, tuple[Alert, ...]]:
    """All alerts, by whom they concern."""
    return {
        "service": service_alerts(pace),
        "replicas": replica_alerts(pace),
        "use": use_alerts(pace),
        "gateway": inner_alerts(pace),
    }


def alerts(pace: Pace) -> tuple[Alert, ...]:
    """All of them."""
    return tuple(alert for group in groups(pace).values() for alert in group)


def recording_file(pace: Pace, every: str) -> str:
    """The YAML of the recording rules, evaluated at this interval."""
    lines = [_MADE, "groups:\n", "  - name: gateway-slo\n", f"    interval: {every}\n    rules:\n"]
    for rule in recordings(pace):
        lines.append(f"      - record: {rule.name}\n        expr: {json.dumps(rule.expr)}\n")
    return "".join(lines)


def alert_file(pace: Pace, every: str, runbooks: str = "") -> str:
    """The YAML of the alerts; `runbooks` is put before each runbook's path."""
    lines = [_MADE, "groups:\n"]
    for name, group in groups(pace).items():
        lines.append(f"  - name: gateway-{name}\n    interval: {every}\n    rules:\n")
        lines.extend(_alert(alert, runbooks) for alert in group)
    return "".join(lines)


def _alert(alert: Alert, runbooks: str) -> str:
    return (
        f"      - alert: {alert.name}\n"
        f"        expr: {json.dumps(alert.expr)}\n"
        f"        for: {alert.after}\n"
        f"        labels: {{severity: {alert.severity}}}\n"
        "        annotations:\n"
        f"          summary: {json.dumps(alert.summary)}\n"
        f"          runbook_url: {json.dumps(runbooks + alert.runbook)}\n"
    )
