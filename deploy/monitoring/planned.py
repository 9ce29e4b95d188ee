"""Metrics that panels ask for and that gateway/domain/metrics.py is still to declare.

A row that is declared there is not looked at here; the file goes when all of them are.
"""

from __future__ import annotations

from gateway.domain.genai import METRIC_LABELS
from gateway.domain.metric import Kind, Metric


def _counter(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, "", "", labels)


def _gauge(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, "", "", labels)


def _histogram(name: str, *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, "", "", labels)


PLANNED = (
    _histogram("gw_overhead_seconds", "route"),
    _counter("gw_fallbacks_total", "from_model", "to_model", "reason"),
    _counter("gw_stream_outcome_total", "model", "outcome"),
    _histogram("gw_stream_max_gap_seconds", "model"),
    _histogram("gen_ai_server_request_duration_seconds", *METRIC_LABELS),
    _histogram("gen_ai_server_time_per_output_token_seconds", *METRIC_LABELS),
    _counter("gen_ai_client_inference_usage_reasoning_output_tokens_total", *METRIC_LABELS),
    _histogram("gen_ai_client_inference_operation_input_tokens", *METRIC_LABELS),
    _histogram("gen_ai_client_inference_operation_output_tokens", *METRIC_LABELS),
    _counter("gw_wasted_output_tokens_total", "reason"),
    _counter("gw_usage_estimated_total", "model"),
    _histogram("gw_prompt_render_seconds", "prompt"),
    _counter("gw_prompt_errors_total", "prompt", "reason"),
    _histogram("gw_context_tokens", "prompt"),
    _counter("gw_context_truncated_total", "prompt"),
    _counter("gw_rewrite_diff_total", "prompt_text", "result"),
    _counter("gw_responses_total", "route", "status"),
    _counter("gw_auth_failures_total", "reason"),
    _counter("gw_redactions_total", "policy", "kind"),
    _counter("gw_telemetry_dropped_total", "signal"),
    _gauge("gw_telemetry_queue", "signal"),
    _gauge("gw_telemetry_queue_capacity", "signal"),
    _histogram("gw_event_loop_lag_seconds"),
    _counter("process_cpu_seconds_total"),
    _gauge("process_resident_memory_bytes"),
    _gauge("process_open_fds"),
    _gauge("process_max_fds"),
    _gauge("process_start_time_seconds"),
    _gauge("gw_pool_connections", "replica", "state"),
    _counter("gw_worker_restarts_total"),
    _gauge("gw_metric_series", "metric"),
    _counter("gw_metric_series_dropped_total", "metric"),
    _gauge("gw_scrape_bytes"),
)
