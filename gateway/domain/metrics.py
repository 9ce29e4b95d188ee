"""The table of metrics: name, kind, unit, meaning, labels, buckets. Nothing else is exported.

`python -m gateway.domain.metrics` prints docs/reference/metrics.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain import genai

OTHER = "other"


class Kind(StrEnum):
    """Prometheus' own words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `unit` is a plural noun; `buckets` are upper bounds, of histograms only."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


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
RETRIES = Metric(
    "gw_retries_total",
    Kind.COUNTER,
    "attempts",
    "Attempts after the first of a call, by the fault that ended the one before.",
    ("reason",),
)
POLICY_DECISIONS = Metric(
    "gw_policy_decisions_total",
    Kind.COUNTER,
    "decisions",
    "Verdicts of policies.",
    ("policy", "decision"),
)

METRICS: tuple[Metric, ...] = (
    *(REQUESTS, DURATION, INFLIGHT, QUEUE_WAIT, FIRST_TOKEN),
    *(INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS),
    *(ATTEMPTS, RETRIES, POLICY_DECISIONS),
)

# What a label may hold. Every one of them is bounded: a client cannot add a series.
LABELS: dict[str, str] = {
    "route": "the route's template, such as `/v1/chat/completions`",
    "model": f"a configured model name; `{OTHER}` for any other, and while it is not known",
    "team": f"the caller's team; after the first 50 of a process, `{OTHER}`",
    "outcome": "how it ended: see each metric",
    "replica": f"the replica's id; after the first 256 of a process, `{OTHER}`",
    "reason": "a fault's name, such as `connect_error`, `server_error`, `timeout`",
    "policy": f"the policy's name; after the first 100 of a process, `{OTHER}`",
    "decision": f"the policy's word; after the first 16 of a process, `{OTHER}`",
    "gen_ai_operation_name": "`chat`, `text_completion` or `embeddings`",
    "gen_ai_provider_name": f"always `{genai.PROVIDER}`: the dialect that replicas speak",
    "gen_ai_request_model": f"as `model`: a configured model name, else `{OTHER}`",
}


class Names:
    """Bounds a label: the first `limit` different values stay, any later one is "other"."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: set[str] = set()

    def label(self, value: str) -> str:
        """`value` itself, or "other"."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._limit:
            return OTHER
        self._seen.add(value)
        return value


def reference() -> str:
    """docs/reference/metrics.md, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "<!-- Made by `make docs` from gateway/domain/metrics.py; do not edit. -->",
        "",
        "`GET /metrics` gives them as Prometheus text or, where the client asks, as OpenMetrics.",
        "With several workers each number is the sum over all of them.",
        "",
        "| name | kind | unit | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        cells = (f"`{metric.name}`", metric.kind.value, metric.unit, labels, metric.help)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Labels", "", "| label | holds |", "|---|---|"]
    lines += [f"| `{label}` | {meaning} |" for label, meaning in LABELS.items()]
    lines += ["", "## Buckets", ""]
    for metric in METRICS:
        if metric.buckets:
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            lines.append(f"- `{metric.name}`: {bounds}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
