"""The table of metrics: name, kind, unit, meaning, labels, buckets. Nothing else is exported.

`python -m gateway.domain.metrics` prints docs/reference/metrics.md.
"""

from __future__ import annotations

from gateway.domain import genai
from gateway.domain.limit_metrics import (
    BUDGET_ALERTS,
    BUDGET_USED,
    COST,
    POLICY_SECONDS,
    RATE_LIMITED,
)
from gateway.domain.metric import Kind as Kind
from gateway.domain.metric import Metric as Metric

OTHER = "other"


# Answers of language models take minutes: the web's usual buckets end at 10 s.
_DURATION = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    *(15, 20, 30, 45, 60, 90, 120, 300, 600),
)
_WAIT = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
# The convention's own bounds, and three more: a cold or loaded replica takes longer than 10 s.
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    *(15, 30, 60),
)

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
FIRST_TOKEN = Metric(
    genai.TIME_TO_FIRST_TOKEN,
    Kind.HISTOGRAM,
    "seconds",
    "From the request's arrival to the first token, of streams that came to one.",
    genai.METRIC_LABELS,
    _FIRST_TOKEN,
)
INPUT_TOKENS = Metric(
    genai.INPUT_TOKENS,
    Kind.COUNTER,
    "tokens",
    "Prompt tokens as the replica counted them, cached ones included. Never estimated.",
    genai.METRIC_LABELS,
)
OUTPUT_TOKENS = Metric(
    genai.OUTPUT_TOKENS,
    Kind.COUNTER,
    "tokens",
    "Generated tokens as the replica counted them. Never estimated.",
    genai.METRIC_LABELS,
)
CACHED_TOKENS = Metric(
    genai.CACHED_TOKENS,
    Kind.COUNTER,
    "tokens",
    "The part of the prompt tokens that came from the replica's prefix cache.",
    genai.METRIC_LABELS,
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
    *(REQUESTS, DURATION, INFLIGHT, QUEUE_WAIT, QUEUE_DEPTH, SHED, FIRST_TOKEN),
    *(INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS),
    *(ATTEMPTS, UPSTREAM_UP, REPLICA_STATE, RETRIES, POLICY_DECISIONS, CONFIG_RELOADS, CONFIG_INFO),
    *(HANDOVERS, HEDGES, RETRIES_DENIED, MALFORMED_EVENTS, RECORDS_SHARED, RECORDS_DROPPED),
    *(POLICY_SECONDS, RATE_LIMITED, BUDGET_USED, BUDGET_ALERTS, COST),
    *(COUNTERS_UP, COUNTERS_LOST),
    *(DATABASE_UP, LEDGER_BACKLOG, LEDGER_LOST),
    *(PROMPTS_INFO, PROMPT_REQUESTS, PROMPT_DURATION, PROMPT_TOKENS, SHADOW_RUNS),
)

# What a label may hold. Every one of them is bounded: a client cannot add a series.
LABELS: dict[str, str] = {
    "route": "the route's template, such as `/v1/chat/completions`",
    "model": f"a configured model name; `{OTHER}` for any other, and while it is not known",
    "team": f"the caller's team; after the first 50 of a process, `{OTHER}`",
    "outcome": "how it ended: see each metric",
    "replica": f"the replica's id; after the first 256 of a process, `{OTHER}`",
    "result": "how it ended: see each metric",
    "sha": f"12 digits of the digest of the files; after the first 1000 of a process, `{OTHER}`",
    "state": "`healthy`, `cooling`, `unhealthy`, `half_open` or `drained`",
    "reason": "a fault's name, such as `connect_error`, `server_error`, `timeout`",
    "priority": "`interactive`, `normal` or `batch`",
    "policy": f"the policy's name; after the first 100 of a process, `{OTHER}`",
    "scope": "of whom the limit is: `key`, `team and model`, `all`, …",
    "percent": "one of the policy's `alerts`: `80`, `100`",
    "decision": f"the policy's word; after the first 16 of a process, `{OTHER}`",
    "prompt": f"the prompt's name; after the first 100 of a process, `{OTHER}`",
    "prompt_text": f"`name@version+sha`; after the first 200 of a process, `{OTHER}`",
    "variant": "the variant's id, `shadow:` before it in a shadow run; empty without variants; "
    f"after the first 50 of a process, `{OTHER}`",
    "gen_ai_operation_name": "`chat`, `text_completion` or `embeddings`",
    "gen_ai_provider_name": f"always `{genai.PROVIDER}`: the dialect that replicas speak",
    "gen_ai_request_model": f"as `model`: a configured model name, else `{OTHER}`",
}


if __name__ == "__main__":
    from gateway.domain.metrics_page import reference

    print(reference(), end="")
