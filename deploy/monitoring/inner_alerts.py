"""Alerts on the gateway's own parts: configuration, telemetry, processes, ledger."""

from __future__ import annotations

from deploy.monitoring.alert import Alert
from deploy.monitoring.pace import Pace


def inner_alerts(pace: Pace) -> tuple[Alert, ...]:
    """What makes the gateway slow, blind or forgetful."""
    return (*_configuration(pace), *_telemetry(pace), *_processes(pace), *_ledger(pace))


def happened(series: str, window: str, by: str = "") -> str:
    """Above 0 where a counter has grown, also from nothing: `increase` does not see the first
    count of a series that begins with it."""
    summed = f"sum by ({by})" if by else "sum"
    begun = f"{summed} ({series} unless {series} offset {window})"
    return f"{summed} (increase({series}[{window}])) > 0 or {begun} > 0"


def _configuration(pace: Pace) -> tuple[Alert, ...]:
    return (
        Alert(
            "GwConfigReloadFailed",
            "ticket",
            "0s",
            happened('gw_config_reload_total{result="failed"}', pace("10m")),
            "A changed configuration is broken: the last good one stays",
        ),
        Alert(
            "GwConfigsDiffer",
            "ticket",
            pace("15m"),
            "count(count by (sha) (gw_config_info > 0)) > 1",
            "{{ $value }} configurations run side by side",
        ),
    )


def _telemetry(pace: Pace) -> tuple[Alert, ...]:
    return (
        Alert(
            "GwTelemetryDropping",
            "ticket",
            pace("5m"),
            happened("gw_telemetry_dropped_total", pace("5m"), "signal"),
            "{{ $labels.signal }} are lost: the collector is gone or too slow",
        ),
        Alert(
            "GwCardinalityHigh",
            "ticket",
            pace("5m"),
            happened("gw_metric_series_dropped_total", pace("1h"), "metric"),
            "{{ $labels.metric }} is at its bound of series: new values count as `other`",
        ),
    )


def _processes(pace: Pace) -> tuple[Alert, ...]:
    lag = f"rate(gw_event_loop_lag_seconds_bucket[{pace('5m')}])"
    apart = "instance, worker"
    return (
        Alert(
            "GwEventLoopLag",
            "ticket",
            pace("5m"),
            f"histogram_quantile(0.99, sum by (le, {apart}) ({lag})) > 0.1",
            "A process of {{ $labels.instance }} is late by {{ $value | humanizeDuration }}",
        ),
        Alert(
            "GwOpenFiles",
            "ticket",
            pace("5m"),
            f'max by ({apart}) (process_open_fds{{job="gateway"}} '
            '/ process_max_fds{job="gateway"}) > 0.8',
            "{{ $labels.instance }} has {{ $value | humanizePercentage }} of its files open",
        ),
        Alert(
            "GwWorkerRestarts",
            "ticket",
            "0s",
            f"sum by (instance) (increase(gw_worker_restarts_total[{pace('1h')}])) > 2",
            'Workers of {{ $labels.instance }} die: {{ $value | printf "%.0f" }} in an hour',
        ),
    )


def _ledger(pace: Pace) -> tuple[Alert, ...]:
    window = pace("10m")
    entries = happened("gw_ledger_lost_total", window)
    lost = f"{entries} or {happened('gw_counters_lost_total', window)}"
    return (
        Alert(
            "GwLedgerBacklog",
            "ticket",
            pace("10m"),
            "sum(gw_ledger_backlog) > 1000",
            "{{ $value }} settled calls wait for the database",
        ),
        Alert(
            "GwLedgerLost",
            "page",
            "0s",
            lost,
            "Use of calls is lost: bills and budgets will be too low",
        ),
    )
