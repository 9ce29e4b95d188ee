"""Metrics that panels ask for and that gateway/domain/metrics.py is still to declare.

A row that is declared there is not looked at here; the file goes when all of them are.
"""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric


def _counter(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, "", "", labels)


def _gauge(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, "", "", labels)


def _histogram(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, "", "", labels)


PLANNED = (
    _histogram("gw_prompt_render_seconds", "prompt"),
    _counter("gw_prompt_errors_total", "prompt", "reason"),
    _histogram("gw_context_tokens", "prompt"),
    _counter("gw_context_truncated_total", "prompt"),
    _counter("gw_rewrite_diff_total", "prompt_text", "result"),
    _counter("gw_redactions_total", "policy", "kind"),
    _gauge("gw_telemetry_queue", "signal"),
    _gauge("gw_telemetry_queue_capacity", "signal"),
    _gauge("gw_pool_connections", "replica", "state"),
)
