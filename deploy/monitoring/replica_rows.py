"""How the gateway fares with its replicas, and how vLLM itself does."""

from __future__ import annotations

from deploy.monitoring.exported import (
    increase,
    mean,
    or_zero,
    over,
    part_of_all,
    picked,
    quantile,
    rate,
)
from deploy.monitoring.panel import Panel, Query, Row, graph, stacked, stat, states, table

ATTEMPTS = "gw_upstream_attempts_total"
UP = "gw_upstream_up"
FIRST_TOKEN = "vllm:time_to_first_token_seconds"
RUNNING = "vllm:num_requests_running"


def reliability_row() -> Row:
    """What went wrong, and what was done about it without the client's knowledge."""
    return Row(
        "Reliability",
        (
            stacked(
                "Attempts by replica and result",
                "reqps",
                "All but ok and cancelled are faults; one replica among many points at it.",
                Query(rate(ATTEMPTS, by="replica, outcome"), "{{replica}} {{outcome}}"),
            ),
            stacked(
                "Retries by reason",
                "reqps",
                "Attempts after the first of a call.",
                Query(or_zero(rate("gw_retries_total", by="reason")), "{{reason}}"),
                Query(or_zero(rate("gw_retries_denied_total", by="reason")), "denied: {{reason}}"),
            ),
            table(
                "Fallbacks",
                "short",
                "Calls that another model answered, in the time shown.",
                Query(increase("gw_fallbacks_total", by="from_model, to_model, reason")),
            ),
            states(
                "States of replicas",
                "Processes of the gateway that see a replica so. half_open: one call tries it.",
                Query(
                    f"sum by (replica, state) ({picked('gw_replica_state')}) > 0",
                    "{{replica}} {{state}}",
                ),
            ),
            graph(
                "503 and 504",
                "reqps",
                "503: no replica would take it. 504: its time was up.",
                Query(
                    or_zero(rate("gw_responses_total", 'status=~"503|504"', by="status")),
                    "{{status}}",
                ),
                width=12,
            ),
            graph(
                "Longest gap in a stream, p99",
                "s",
                "Silence between two chunks. Above timeouts.idle_s a stream is handed over.",
                Query(quantile(0.99, "gw_stream_max_gap_seconds", by="model"), "{{model}}"),
            ),
            stacked(
                "Ends of streams",
                "reqps",
                "truncated: the client got less than the model had to say.",
                Query(rate("gw_stream_outcome_total", by="outcome"), "{{outcome}}"),
            ),
            stacked(
                "Streams that broke",
                "reqps",
                "What became of them: continued or restarted elsewhere without a word to the "
                "client, finished, unsafe, failed.",
                Query(or_zero(rate("gw_handovers_total", by="result")), "{{result}}"),
            ),
            stacked(
                "Hedges",
                "reqps",
                "Second requests because a first answer was slow, by who won.",
                Query(or_zero(rate("gw_hedges_total", by="result")), "{{result}}"),
            ),
            graph(
                "Garbage in streams",
                "ops",
                "Events that were no events, by replica.",
                Query(or_zero(rate("gw_malformed_events_total", by="replica")), "{{replica}}"),
                width=16,
            ),
        ),
    )


def _load() -> tuple[Panel, ...]:
    """vLLM's own gauges."""

    def gauge(name: str, by: str = "replica") -> str:
        return f"sum by ({by}) ({picked(name)})"

    hits = rate("vllm:prefix_cache_hits_total", by="replica")
    return (
        graph(
            "Running and waiting in vLLM",
            "short",
            "Waiting above 0 for long: the replica is full.",
            Query(gauge(RUNNING), "{{replica}} running"),
            Query(gauge("vllm:num_requests_waiting"), "{{replica}} waiting"),
        ),
        graph(
            "Why they wait",
            "short",
            "capacity: no room; deferred: they wait for something else, such as a cache transfer.",
            Query(
                gauge("vllm:num_requests_waiting_by_reason", "replica, reason"),
                "{{replica}} {{reason}}",
            ),
        ),
        graph(
            "KV cache used",
            "percentunit",
            "From 0.95 on vLLM preempts: calls begin anew.",
            Query(f"max by (replica) ({picked('vllm:kv_cache_usage_perc')})", "{{replica}}"),
        ),
        graph(
            "Prefix cache hits",
            "percentunit",
            "Of the blocks that were asked for.",
            Query(over(hits, rate("vllm:prefix_cache_queries_total", by="replica")), "{{replica}}"),
        ),
        graph(
            "Preemptions",
            "ops",
            "Calls that vLLM pushed out and will compute again.",
            Query(rate("vllm:num_preemptions_total", by="replica"), "{{replica}}"),
        ),
        graph(
            "First token: vLLM and gateway",
            "s",
            "p95. The distance is network, queue and gateway.",
            Query(quantile(0.95, FIRST_TOKEN, by="replica"), "vLLM {{replica}}"),
            Query(quantile(0.95, "gen_ai_server_time_to_first_token_seconds"), "gateway"),
        ),
    )


def _shares() -> tuple[Panel, ...]:
    """Whether the load is even."""
    attempts = rate(ATTEMPTS, by="replica")
    return (
        graph(
            "Load share",
            "percentunit",
            "Of all attempts. With prefix affinity some unevenness is meant.",
            Query(part_of_all(attempts, rate(ATTEMPTS)), "{{replica}}"),
        ),
        graph(
            "Imbalance",
            "short",
            "The busiest replica against the mean: 1 is even, 2 is an alert.",
            Query(over(f"max ({attempts})", f"avg ({attempts})"), "max / mean"),
        ),
    )


def replica_row() -> Row:
    """Which replica hurts."""
    processes = f"sum by (replica) ({picked(UP)})"
    return Row(
        "Replicas (vLLM)",
        (
            graph(
                "In rotation",
                "short",
                "Processes of the gateway that send to the replica; 0 is out.",
                Query(processes, "{{replica}}"),
            ),
            *_load(),
            *_shares(),
        ),
    )


def vllm_rows() -> tuple[Row, ...]:
    """The dashboard of vLLM itself."""
    return (
        Row(
            "Now",
            (
                stat(
                    "Answer the scrape",
                    "short",
                    "Replicas that Prometheus reaches.",
                    Query('sum(up{job="vllm",replica=~"$replica"})'),
                    width=6,
                ),
                stat("Running", "short", "Calls.", Query(f"sum({picked(RUNNING)})"), width=6),
                stat(
                    "Waiting",
                    "short",
                    "Calls.",
                    Query(f"sum({picked('vllm:num_requests_waiting')})"),
                    (None, "green"),
                    (1, "orange"),
                    width=6,
                ),
                stat(
                    "Fullest KV cache",
                    "percentunit",
                    "Of all replicas.",
                    Query(f"max({picked('vllm:kv_cache_usage_perc')})"),
                    (None, "green"),
                    (0.8, "orange"),
                    (0.95, "red"),
                    width=6,
                ),
            ),
        ),
        Row("Load", _load()[:5]),
        Row("Work", _work()),
        Row("Seen from the gateway", (*_shares(), _seen())),
    )


def _work() -> tuple[Panel, ...]:
    def p95(title: str, name: str, help: str) -> Panel:
        return graph(
            title,
            "s",
            help,
            Query(quantile(0.5, name, by="replica"), "{{replica}} p50"),
            Query(quantile(0.95, name, by="replica"), "{{replica}} p95"),
        )

    return (
        p95("First token", FIRST_TOKEN, "Queue and prefill."),
        p95("Between tokens", "vllm:inter_token_latency_seconds", "Decode; grows with the batch."),
        p95(
            "Whole requests", "vllm:e2e_request_latency_seconds", "From vLLM's arrival to its end."
        ),
        stacked(
            "Generated tokens",
            "short",
            "Each second.",
            Query(rate("vllm:generation_tokens_total", by="replica"), "{{replica}}"),
        ),
        stacked(
            "Prompt tokens",
            "short",
            "Each second.",
            Query(rate("vllm:prompt_tokens_total", by="replica"), "{{replica}}"),
        ),
        stacked(
            "Finished requests",
            "reqps",
            "By finish reason. vLLM counts no request that a client left.",
            Query(
                rate("vllm:request_success_total", by="replica, finished_reason"),
                "{{replica}} {{finished_reason}}",
            ),
        ),
        stacked(
            "Where its time goes",
            "s",
            "Mean seconds of a request.",
            Query(mean("vllm:request_queue_time_seconds"), "queue"),
            Query(mean("vllm:request_prefill_time_seconds"), "prefill"),
            Query(mean("vllm:request_decode_time_seconds"), "decode"),
            width=24,
        ),
    )


def _seen() -> Panel:
    faults = rate(ATTEMPTS, 'outcome!~"ok|cancelled"', by="replica")
    return graph(
        "Faults",
        "percentunit",
        "Share of attempts on a replica that failed.",
        Query(
            over(f"{faults} or {rate(ATTEMPTS, by='replica')} * 0", rate(ATTEMPTS, by="replica")),
            "{{replica}}",
        ),
    )
