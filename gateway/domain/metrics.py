"""The table of metrics: name, kind, unit, meaning, labels, buckets. Nothing else is exported.

`python -m gateway.domain.metrics` prints docs/reference/metrics.md.
"""

from __future__ import annotations

from gateway.domain.answer_metrics import ANSWER_METRICS
from gateway.domain.genai_metrics import GENAI_METRICS
from gateway.domain.limit_metrics import (
    BUDGET_ALERTS,
    BUDGET_USED,
    COST,
    POLICY_SECONDS,
    RATE_LIMITED,
    REDACTIONS,
)
from gateway.domain.metric import Convention
from gateway.domain.metric import Kind as Kind
from gateway.domain.metric import Metric as Metric
from gateway.domain.metric_labels import LABELS as LABELS
from gateway.domain.metric_labels import OTHER as OTHER
from gateway.domain.process_metrics import PROCESS_METRICS
from gateway.domain.prompt_metrics import PROMPT_METRICS

# Answers of language models take minutes: the web's usual buckets end at 10 s.
_DURATION = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    *(15, 20, 30, 45, 60, 90, 120, 300, 600),
)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Metric(
    "gw_requests_total",
    Kind.COUNTER,
    "requests",
    "Calls that have ended, by how: completed, refused, failed, cancelled, timeout, truncated.",
    ("route", "model", "team", "outcome"),
)
DURATION = Metric(
    "gw_request_duration_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "From the request's arrival to the end of its answer, whatever the outcome.",
    ("route", "model"),
    _DURATION,
)
INFLIGHT = Metric(
    "gw_inflight",
    Kind.GAUGE,
    "requests",
    "Calls that have begun and not ended, those that wait in the queue included.",
    ("model",),
)
QUEUE_WAIT = Metric(
    "gw_queue_wait_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "Time that a call waited for a slot, of calls that got as far as the queue.",
    ("model",),
    _WAIT,
)
QUEUE_DEPTH = Metric(
    "gw_queue_depth",
    Kind.GAUGE,
    "requests",
    "Calls that wait for a slot now.",
    ("model", "priority"),
)
SHED = Metric(
    "gw_shed_total",
    Kind.COUNTER,
    "requests",
    "Calls that got no slot: the queue was full, another call took their place in it, or they had "
    "waited for queue.wait_s.",
    ("model", "priority"),
)
ATTEMPTS = Metric(
    "gw_upstream_attempts_total",
    Kind.COUNTER,
    "attempts",
    "Tries on a replica that are over, by result: ok, cancelled, or the fault's name.",
    ("replica", "outcome"),
)
UPSTREAM_UP = Metric(
    "gw_upstream_up",
    Kind.GAUGE,
    "processes",
    "Processes of the gateway that send requests to the replica: 0 is out of rotation.",
    ("replica",),
)
REPLICA_STATE = Metric(
    "gw_replica_state",
    Kind.GAUGE,
    "processes",
    "Processes of the gateway in whose eyes the replica is in this state.",
    ("replica", "state"),
)
RETRIES = Metric(
    "gw_retries_total",
    Kind.COUNTER,
    "attempts",
    "Attempts after the first of a call, by the fault that ended the one before.",
    ("reason",),
)
HANDOVERS = Metric(
    "gw_handovers_total",
    Kind.COUNTER,
    "streams",
    "Streams that broke, by what became of them: continued, restarted, finished (at its limit of "
    "tokens), unsafe (nobody could go on), failed.",
    ("result",),
)
HEDGES = Metric(
    "gw_hedges_total",
    Kind.COUNTER,
    "requests",
    "Second requests because a first answer was slow, by who answered first: won (the second), "
    "lost, failed (neither); skipped, where the budget was spent.",
    ("result",),
)
RETRIES_DENIED = Metric(
    "gw_retries_denied_total",
    Kind.COUNTER,
    "attempts",
    "Retries that were not made because the retry budget was spent.",
    ("reason",),
)
MALFORMED_EVENTS = Metric(
    "gw_malformed_events_total",
    Kind.COUNTER,
    "events",
    "Events of a stream that were no events, and were left out.",
    ("replica",),
)
POLICY_DECISIONS = Metric(
    "gw_policy_decisions_total",
    Kind.COUNTER,
    "decisions",
    "Verdicts of policies.",
    ("policy", "decision"),
)
CONFIG_RELOADS = Metric(
    "gw_config_reload_total",
    Kind.COUNTER,
    "reloads",
    "Reloads of the configuration, by result: ok, or failed (the last good one stays).",
    ("result",),
)
CONFIG_INFO = Metric(
    "gw_config_info",
    Kind.GAUGE,
    "processes",
    "Processes that run with this configuration; two lines above 0 mean that they differ.",
    ("sha",),
)
RECORDS_SHARED = Metric(
    "gw_records_redis_up",
    Kind.GAUGE,
    "processes",
    "Processes of the gateway that reach the Redis of records.redis_url; 0 also where none is set.",
)
RECORDS_DROPPED = Metric(
    "gw_records_dropped_total",
    Kind.COUNTER,
    "records",
    "Decision records that did not get into Redis: it was gone or too slow.",
)
_REACH = "Processes that reach the Redis of state.redis_url; 0 also where none is set."
COUNTERS_UP = Metric("gw_counters_redis_up", Kind.GAUGE, "processes", _REACH)
_UNTOLD = "Calls whose use never got into that Redis: it was gone for too long."
COUNTERS_LOST = Metric("gw_counters_lost_total", Kind.COUNTER, "calls", _UNTOLD)
_AWAY = "Processes that reach the database of section state; 0 also where none is set."
DATABASE_UP = Metric("gw_database_up", Kind.GAUGE, "processes", _AWAY)
_BACKLOG = "Settled calls and events of the audit log that wait for the database."
LEDGER_BACKLOG = Metric("gw_ledger_backlog", Kind.GAUGE, "entries", _BACKLOG)
_LOST = "Those that are lost: disk and memory were full, or no database would take them."
LEDGER_LOST = Metric("gw_ledger_lost_total", Kind.COUNTER, "entries", _LOST)
PROMPTS_INFO = Metric(
    "gw_prompts_info",
    Kind.GAUGE,
    "processes",
    "Processes that serve this set of prompts, labels included.",
    ("sha",),
)
PROMPT_REQUESTS = Metric(
    "gw_prompt_requests_total",
    Kind.COUNTER,
    "requests",
    "Calls that a prompt file made, by its text, its variant and how they ended.",
    ("prompt_text", "variant", "outcome"),
)
PROMPT_DURATION = Metric(
    "gw_prompt_duration_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "As gw_request_duration_seconds, of calls that a prompt file made.",
    ("prompt", "variant"),
    _DURATION,
)
PROMPT_TOKENS = Metric(
    "gw_prompt_output_tokens_total",
    Kind.COUNTER,
    "tokens",
    "Generated tokens of calls that a prompt file made, as the replica counted them.",
    ("prompt", "variant"),
)
SHADOW_RUNS = Metric(
    "gw_shadow_runs_total",
    Kind.COUNTER,
    "requests",
    "Answers that no client sees, by what became of them: ok, failed, cancelled, or skipped "
    "because enough of them ran.",
    ("result",),
)

METRICS: tuple[Metric, ...] = (
    *(REQUESTS, DURATION, INFLIGHT, QUEUE_WAIT, QUEUE_DEPTH, SHED),
    *(ATTEMPTS, UPSTREAM_UP, REPLICA_STATE, RETRIES, POLICY_DECISIONS, CONFIG_RELOADS, CONFIG_INFO),
    *(HANDOVERS, HEDGES, RETRIES_DENIED, MALFORMED_EVENTS, RECORDS_SHARED, RECORDS_DROPPED),
    *(POLICY_SECONDS, RATE_LIMITED, BUDGET_USED, BUDGET_ALERTS, COST, REDACTIONS),
    *(COUNTERS_UP, COUNTERS_LOST),
    *(DATABASE_UP, LEDGER_BACKLOG, LEDGER_LOST),
    *(PROMPTS_INFO, PROMPT_REQUESTS, PROMPT_DURATION, PROMPT_TOKENS, SHADOW_RUNS),
    *PROMPT_METRICS,
    *ANSWER_METRICS,
    *PROCESS_METRICS,
    *GENAI_METRICS,
)


def exported(convention: Convention) -> tuple[Metric, ...]:
    """Those that there are where telemetry.genai_semconv is set so."""
    return tuple(one for one in METRICS if convention.covers(one.convention))


if __name__ == "__main__":
    from gateway.domain.metrics_page import reference

    print(reference(), end="")
