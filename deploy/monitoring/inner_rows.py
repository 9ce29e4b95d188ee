"""The gateway itself: its processes, its stores, its own telemetry."""

from __future__ import annotations

from deploy.monitoring.exported import increase, or_zero, picked, quantile, rate
from deploy.monitoring.panel import Query, Row, graph, table

WORKER = "{{instance}} {{worker}}"
APART = "instance, worker"


def inner_row() -> Row:
    """Is the gateway the one that is slow, full or blind?"""
    return Row(
        "Gateway internals",
        (
            graph(
                "CPU",
                "percentunit",
                "Of one core, for each process; near 1 it needs more workers.",
                Query(rate("process_cpu_seconds_total", by=APART), WORKER),
            ),
            graph(
                "Memory",
                "bytes",
                "Resident, for each process. A line that only rises is a leak.",
                Query(f"sum by ({APART}) ({picked('process_resident_memory_bytes')})", WORKER),
            ),
            graph(
                "Event-loop lag, p99",
                "s",
                "How late the process gets to do what is due. Above 0.1 s something blocks it.",
                Query(quantile(0.99, "gw_event_loop_lag_seconds", by=APART), WORKER),
            ),
            graph(
                "Open files",
                "short",
                "Two for each running call; the limit is the dashed one.",
                Query(f"sum by ({APART}) ({picked('process_open_fds')})", WORKER),
                Query(f"min({picked('process_max_fds')})", "limit"),
            ),
            graph(
                "Connections to replicas",
                "short",
                "In use and idle.",
                Query(
                    f"sum by (replica, state) ({picked('gw_pool_connections')})",
                    "{{replica}} {{state}}",
                ),
            ),
            graph(
                "Workers that answer",
                "short",
                "Of each gateway; a line that falls is one that is dead, or too busy to tell.",
                Query("sum by (instance) (gw_worker_up)", "{{instance}}"),
            ),
            graph(
                "Workers that were started anew",
                "short",
                "In an hour; more than 0 is worth a look at the log.",
                Query(or_zero(increase("gw_worker_restarts_total", over="1h")), "restarts"),
            ),
            graph(
                "Telemetry queue",
                "percentunit",
                "Of its room; full, spans are lost.",
                Query(
                    f"sum by (signal) ({picked('gw_telemetry_queue')}) / "
                    f"sum by (signal) ({picked('gw_telemetry_queue_capacity')})",
                    "{{signal}}",
                ),
            ),
            graph(
                "Telemetry lost",
                "ops",
                "Each second. The collector is gone or too slow.",
                Query(or_zero(rate("gw_telemetry_dropped_total", by="signal")), "{{signal}}"),
            ),
            graph(
                "Size of /metrics",
                "bytes",
                "Of one page; Prometheus reads it each scrape.",
                Query(f"max({picked('gw_scrape_bytes')})", "bytes"),
            ),
            table(
                "Series by metric",
                "short",
                "The largest ones.",
                Query(f"topk(15, sum by (metric) ({picked('gw_metric_series')}))"),
            ),
            graph(
                "Label values turned into `other`",
                "ops",
                "A metric is at its bound of series.",
                Query(or_zero(rate("gw_metric_series_dropped_total", by="metric")), "{{metric}}"),
            ),
            table(
                "Configurations that run",
                "short",
                "More than one row for long: some processes could not take the newest.",
                Query("count by (sha) (gw_config_info > 0)"),
            ),
            graph(
                "Reloads",
                "short",
                "In five minutes, by result.",
                Query(
                    or_zero(increase("gw_config_reload_total", by="result", over="5m")),
                    "{{result}}",
                ),
            ),
            graph(
                "Stores in reach",
                "short",
                "Processes that reach each; 0 also where none is set.",
                Query("sum(gw_database_up)", "database"),
                Query("sum(gw_counters_redis_up)", "Redis of state"),
                Query("sum(gw_records_redis_up)", "Redis of records"),
            ),
            graph(
                "Ledger",
                "short",
                "Entries that wait for the database, and those lost in an hour.",
                Query("sum(gw_ledger_backlog)", "wait"),
                Query(or_zero(increase("gw_ledger_lost_total", over="1h")), "lost"),
                Query(or_zero(increase("gw_counters_lost_total", over="1h")), "counters lost"),
                Query(or_zero(increase("gw_records_dropped_total", over="1h")), "records dropped"),
            ),
        ),
    )
