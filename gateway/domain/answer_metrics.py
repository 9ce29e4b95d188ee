"""The metrics of how calls end and how their answers come: rows of the table in metrics.py."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric

OVERHEAD = Metric(
    "gw_overhead_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "The gateway's own part of the time to the first of an answer: without the queue, without "
    "waiting for replicas or between attempts.",
    ("route",),
    (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
RESPONSES = Metric(
    "gw_responses_total",
    Kind.COUNTER,
    "requests",
    "Calls that have ended, by the status that their client got (499: it had left); a stream that "
    "broke after its 200 is told by what an error would have said.",
    ("route", "status"),
)
AUTH_FAILURES = Metric(
    "gw_auth_failures_total",
    Kind.COUNTER,
    "requests",
    "Calls that were not let in, by the error's code: no key that is good, or not for this.",
    ("reason",),
)
STREAM_OUTCOMES = Metric(
    "gw_stream_outcome_total",
    Kind.COUNTER,
    "streams",
    "Streams that a replica was asked for, by how they ended.",
    ("model", "outcome"),
)
MAX_GAP = Metric(
    "gw_stream_max_gap_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "The longest time between two chunks of a stream, as its client got them.",
    ("model",),
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
WASTED_TOKENS = Metric(
    "gw_wasted_output_tokens_total",
    Kind.COUNTER,
    "tokens",
    "Generated tokens of answers that did not come to their end, estimated ones included, by "
    "why: cancel, timeout, or error.",
    ("reason",),
)
ESTIMATED = Metric(
    "gw_usage_estimated_total",
    Kind.COUNTER,
    "requests",
    "Calls whose tokens nobody has counted: the gateway guessed them.",
    ("model",),
)
ESTIMATED_TOKENS = Metric(
    "gw_usage_estimated_tokens_total",
    Kind.COUNTER,
    "tokens",
    "Tokens of those calls. With the tokens that replicas counted they make what the ledger says.",
    ("model", "token_type"),
)
FALLBACKS = Metric(
    "gw_fallbacks_total",
    Kind.COUNTER,
    "requests",
    "Calls that went to another model, by the fault that made them.",
    ("from_model", "to_model", "reason"),
)

ANSWER_METRICS = (
    *(OVERHEAD, RESPONSES, AUTH_FAILURES, STREAM_OUTCOMES, MAX_GAP, WASTED_TOKENS),
    *(ESTIMATED, ESTIMATED_TOKENS, FALLBACKS),
)
