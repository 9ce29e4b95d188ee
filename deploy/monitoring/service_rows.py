"""What the clients feel: service level, traffic, latency."""

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
from deploy.monitoring.panel import Panel, Query, Row, graph, heatmap, stacked, stat, table
from deploy.monitoring.slo import OBJECTIVE, TTFT_OBJECTIVE, TTFT_SECONDS

REQUESTS = "gw_requests_total"
DURATION = "gw_request_duration_seconds"
FIRST_TOKEN = "gen_ai_server_time_to_first_token_seconds"
PER_TOKEN = "gen_ai_server_time_per_output_token_seconds"
INFERENCE = "gen_ai_client_inference"
MODEL = "gen_ai_request_model"
FAILED = 'outcome=~"failed|timeout|truncated"'
COUNTED = 'outcome!~"cancelled|refused"'


def _spent(bad: str, objective: float) -> str:
    return f"1 - ({bad}) / {1 - objective:.6g}"


def _numbers() -> tuple[Panel, ...]:
    kept = over(rate(REQUESTS, 'outcome="completed"'), rate(REQUESTS, COUNTED))
    quick = over(
        rate(f"{FIRST_TOKEN}_bucket", f'le="{TTFT_SECONDS}"'), rate(f"{FIRST_TOKEN}_count")
    )
    red_to_green = ((None, "red"), (OBJECTIVE, "green"))
    return (
        stat(
            "Availability now",
            "percentunit",
            "Of the calls that were the service's to answer, those that it answered whole. "
            "Refusals and clients who left count on neither side.",
            Query(kept),
            *red_to_green,
        ),
        stat(
            "Error budget left, 30 days",
            "percentunit",
            f"What is left of the {1 - OBJECTIVE:.2%} of calls that may fail in 30 days; below 0 "
            "the objective is missed. All models and teams.",
            Query(_spent("gw:errors_per_request:ratio_rate30d", OBJECTIVE)),
            (None, "red"),
            (0, "orange"),
            (0.25, "green"),
        ),
        stat(
            f"First token within {TTFT_SECONDS:g} s",
            "percentunit",
            f"Share of streams; the objective is {TTFT_OBJECTIVE:.0%}.",
            Query(quick),
            (None, "red"),
            (TTFT_OBJECTIVE, "green"),
        ),
        stat("Requests", "reqps", "Calls that end, each second.", Query(rate(REQUESTS))),
        stat(
            "Errors",
            "percentunit",
            "Share of calls that failed, timed out or were cut; a client who left is no error.",
            Query(over(or_zero(rate(REQUESTS, FAILED)), rate(REQUESTS, COUNTED))),
            (None, "green"),
            (1 - OBJECTIVE, "orange"),
            (0.05, "red"),
        ),
        stat(
            "Alerts that fire",
            "short",
            "Look at the table beside.",
            Query(or_zero('count(ALERTS{alertstate="firing",severity=~"page|ticket"})')),
            (None, "green"),
            (1, "orange"),
        ),
    )


def slo_row() -> Row:
    """Is it well, and how fast does the budget go?"""
    burn = tuple(
        Query(
            f"gw:errors_per_request:ratio_rate{window} / {1 - OBJECTIVE:.6g}", f"errors, {window}"
        )
        for window in ("5m", "1h", "6h")
    )
    slow = tuple(
        Query(
            f"gw:slow_first_tokens:ratio_rate{window} / {1 - TTFT_OBJECTIVE:.6g}",
            f"first token, {window}",
        )
        for window in ("5m", "1h", "6h")
    )
    return Row(
        "Service level",
        (
            *_numbers(),
            graph(
                "Burn rate",
                "short",
                "1 spends exactly the budget of 30 days in 30 days. 14.4 on the short windows "
                "pages, 6 on the middle ones too.",
                *burn,
                *slow,
                width=12,
            ),
            graph(
                "Errors by kind",
                "percentunit",
                "Share of the calls that were the service's to answer.",
                Query(
                    part_of_all(rate(REQUESTS, FAILED, by="outcome"), rate(REQUESTS, COUNTED)),
                    "{{outcome}}",
                ),
                width=6,
            ),
            table(
                "Alerts",
                "short",
                "Each has a runbook in docs/runbooks.",
                Query(
                    'sum by (alertname, severity, alertstate) (ALERTS{severity=~"page|ticket"}) '
                    'or label_replace(vector(0), "alertname", "none", "", "")'
                ),
                width=6,
            ),
        ),
    )


def traffic_row() -> Row:
    """Who asks for what, and how it ends."""

    def requests(by: str) -> Query:
        return Query(rate(REQUESTS, by=by), f"{{{{{by}}}}}")

    streams = "gw_stream_outcome_total"
    return Row(
        "Traffic",
        (
            stacked("Requests by model", "reqps", "Calls that end.", requests("model")),
            stacked("Requests by route", "reqps", "Calls that end.", requests("route")),
            stacked("Requests by team", "reqps", "Calls that end.", requests("team")),
            stacked(
                "Outcomes",
                "reqps",
                "completed, refused (4xx of ours), failed, cancelled (the client left), timeout, "
                "truncated (a stream without its end).",
                requests("outcome"),
            ),
            stacked(
                "Answers by status",
                "reqps",
                "HTTP statuses, those of refused and unknown requests too.",
                Query(rate("gw_responses_total", by="status"), "{{status}}"),
            ),
            graph(
                "Calls inside",
                "short",
                "Calls that have begun and not ended; those that wait are a part of them.",
                Query(f"sum by (model) ({picked('gw_inflight')})", "{{model}}"),
                Query(f"sum by (model) ({picked('gw_queue_depth')})", "{{model}} waiting"),
            ),
            graph(
                "Share of streams",
                "percentunit",
                "Of all calls.",
                Query(over(rate(streams, by="model"), rate(REQUESTS, by="model")), "{{model}}"),
            ),
            table(
                "Top teams",
                "short",
                "Calls in the time shown.",
                Query(f"topk(10, {increase(REQUESTS, by='team')})"),
            ),
            graph(
                "Refused for want of a slot",
                "reqps",
                "The queue was full, or the wait too long: more replicas, or a lower limit.",
                Query(
                    or_zero(rate("gw_shed_total", by="model, priority")), "{{model}} {{priority}}"
                ),
            ),
        ),
    )


def latency_row() -> Row:
    """How long it takes, and where the time goes."""
    return Row(
        "Latency",
        (
            _quantiles("Duration", DURATION, "model", "From arrival to the last byte."),
            _quantiles("First token", FIRST_TOKEN, MODEL, "Streams only, from the arrival."),
            _quantiles(
                "Time per output token", PER_TOKEN, MODEL, "After the first, of whole answers."
            ),
            graph(
                "Inference",
                "s",
                "From the first attempt on, retries in it: the duration without our queue and "
                "prompt. Apart from it: the first and the later pieces of streams.",
                *(
                    Query(quantile(0.95, f"{INFERENCE}_{name}_seconds", by=MODEL), legend)
                    for name, legend in (
                        ("duration", "{{gen_ai_request_model}} whole, p95"),
                        ("time_to_first_chunk", "{{gen_ai_request_model}} first piece, p95"),
                        ("time_per_output_chunk", "{{gen_ai_request_model}} each piece, p95"),
                    )
                ),
            ),
            heatmap(
                "First token, all calls",
                "s",
                "Two bands: a warm and a cold prefix, or two replicas of which one is slow.",
                Query(rate(f"{FIRST_TOKEN}_bucket", by="le"), "{{le}}"),
            ),
            graph(
                "The gateway's own time",
                "s",
                "Neither queue nor replica: keys, policies, prompts, bytes. Milliseconds.",
                Query(quantile(0.5, "gw_overhead_seconds"), "p50"),
                Query(quantile(0.99, "gw_overhead_seconds"), "p99"),
            ),
            graph(
                "Wait for a slot",
                "s",
                "Seconds here mean that replicas are full: see Replicas.",
                Query(quantile(0.95, "gw_queue_wait_seconds", by="model"), "{{model}} p95"),
            ),
            _waterfall(),
        ),
    )


def _quantiles(title: str, name: str, by: str, help: str) -> Panel:
    legend = f"{{{{{by}}}}}"
    queries = [
        Query(quantile(share, name, by=by), f"{legend} p{share * 100:g}")
        for share in (0.5, 0.95, 0.99)
    ]
    return graph(title, "s", help, *queries)


def _waterfall() -> Panel:
    """Mean seconds of each stage, one on the other."""
    stages = (
        ("the gateway itself", "gw_overhead_seconds"),
        ("prompt", "gw_prompt_render_seconds"),
        ("wait for a slot", "gw_queue_wait_seconds"),
        ("vLLM: queue", "vllm:request_queue_time_seconds"),
        ("vLLM: prefill", "vllm:request_prefill_time_seconds"),
        ("vLLM: decode", "vllm:request_decode_time_seconds"),
    )
    return stacked(
        "Where the time goes",
        "s",
        "Mean seconds of each stage of a call, from the gateway's and vLLM's own clocks.",
        *(Query(mean(name), title) for title, name in stages),
        width=24,
    )
