"""The metrics of the gateway's own processes and of /metrics itself: rows of metrics.py."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric

LOOP_LAG = Metric(
    "gw_event_loop_lag_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "How late the event loop is, looked at four times a second.",
    (),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
SERIES = Metric(
    "gw_metric_series",
    Kind.GAUGE,
    "series",
    "Sets of labels that a metric has.",
    ("metric",),
)
SERIES_DROPPED = Metric(
    "gw_metric_series_dropped_total",
    Kind.COUNTER,
    "values",
    "What was told of a metric under `other` in all of its labels, because it had as many sets "
    "of labels as it may have.",
    ("metric",),
)
POOL = Metric(
    "gw_pool_connections",
    Kind.GAUGE,
    "connections",
    "Open connections to the replica, as of the last scrape: in_use or idle. Replicas at one host "
    "and port share theirs.",
    ("replica", "state"),
)
SCRAPE_BYTES = Metric(
    "gw_scrape_bytes", Kind.GAUGE, "bytes", "Size of the page of /metrics before this one."
)
TELEMETRY_DROPPED = Metric(
    "gw_telemetry_dropped_total",
    Kind.COUNTER,
    "items",
    "Spans, lines of the log and pushes of metrics that could not be told.",
    ("signal",),
)
TELEMETRY_QUEUE = Metric(
    "gw_telemetry_queue",
    Kind.GAUGE,
    "calls",
    "Calls whose spans wait to be sent, as of the last scrape.",
    ("signal",),
)
TELEMETRY_CAPACITY = Metric(
    "gw_telemetry_queue_capacity",
    Kind.GAUGE,
    "calls",
    "So many may wait, before they are dropped; 0 where nothing is sent.",
    ("signal",),
)
WORKER_UP = Metric(
    "gw_worker_up",
    Kind.GAUGE,
    "processes",
    "1: the worker has told its metrics for this page; 0: it did not answer in time, or is gone.",
    ("worker",),
)
WORKER_RESTARTS = Metric(
    "gw_worker_restarts_total",
    Kind.COUNTER,
    "processes",
    "Processes that have taken the place of one before them.",
)

PROCESS_METRICS = (
    *(WORKER_UP, WORKER_RESTARTS, LOOP_LAG, SERIES, SERIES_DROPPED, SCRAPE_BYTES),
    *(TELEMETRY_DROPPED, TELEMETRY_QUEUE, TELEMETRY_CAPACITY, POOL),
)
