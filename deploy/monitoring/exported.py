"""What may be asked for: the gateway's own metrics, vLLM's, and how the choices above a dashboard
narrow each."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric
from gateway.domain.metrics import METRICS

# The labels that a choice above a dashboard narrows, and by what.
CHOICES = {
    "route": "$route",
    "model": "$model",
    "team": "$team",
    "replica": "$replica",
    "prompt": "$prompt",
    "prompt_text": "($prompt)@.*",
    "gen_ai_request_model": "$model",
    "http_route": "$route",
}

# What every client of Prometheus tells of its process.
PROCESS = (
    Metric("process_cpu_seconds_total", Kind.COUNTER, "s", ""),
    Metric("process_resident_memory_bytes", Kind.GAUGE, "bytes", ""),
    Metric("process_open_fds", Kind.GAUGE, "", ""),
    Metric("process_max_fds", Kind.GAUGE, "", ""),
    Metric("process_start_time_seconds", Kind.GAUGE, "s", ""),
)

GATEWAY = {metric.name: metric for metric in (*PROCESS, *METRICS)}

# Of vLLM 0.32. Its own labels are `engine` and `model_name`; `replica` is what prometheus.yml puts
# on each target: the id of litellm_config.yaml, so that both sides of a replica can be compared.
VLLM: dict[str, Kind] = {
    "vllm:num_requests_running": Kind.GAUGE,
    "vllm:num_requests_waiting": Kind.GAUGE,
    "vllm:num_requests_waiting_by_reason": Kind.GAUGE,
    "vllm:kv_cache_usage_perc": Kind.GAUGE,
    "vllm:prefix_cache_queries_total": Kind.COUNTER,
    "vllm:prefix_cache_hits_total": Kind.COUNTER,
    "vllm:num_preemptions_total": Kind.COUNTER,
    "vllm:prompt_tokens_total": Kind.COUNTER,
    "vllm:generation_tokens_total": Kind.COUNTER,
    "vllm:request_success_total": Kind.COUNTER,
    "vllm:time_to_first_token_seconds": Kind.HISTOGRAM,
    "vllm:inter_token_latency_seconds": Kind.HISTOGRAM,
    "vllm:e2e_request_latency_seconds": Kind.HISTOGRAM,
    "vllm:request_queue_time_seconds": Kind.HISTOGRAM,
    "vllm:request_prefill_time_seconds": Kind.HISTOGRAM,
    "vllm:request_decode_time_seconds": Kind.HISTOGRAM,
}
VLLM_LABELS = ("replica",)

_PARTS = ("_bucket", "_sum", "_count")


def family(name: str) -> str:
    """The declared metric that a series belongs to. KeyError, with the name, for a stranger."""
    for part in ("", *_PARTS):
        found = name.removesuffix(part)
        if not name.endswith(part) or (found not in GATEWAY and found not in VLLM):
            continue
        kind = GATEWAY[found].kind if found in GATEWAY else VLLM[found]
        if (kind is Kind.HISTOGRAM) == bool(part):
            return found
    raise KeyError(f"{name}: no such series in gateway/domain/metrics.py nor in VLLM")


def labels(name: str) -> tuple[str, ...]:
    """The labels of a series that a choice may narrow."""
    found = family(name)
    return GATEWAY[found].labels if found in GATEWAY else VLLM_LABELS


def picked(name: str, *matchers: str) -> str:
    """The series under the choices that apply to it, and these matchers: `outcome="failed"`."""
    chosen = [f'{one}=~"{CHOICES[one]}"' for one in labels(name) if one in CHOICES]
    return f"{name}{{{','.join((*chosen, *matchers))}}}" if chosen or matchers else name


def rate(name: str, *matchers: str, by: str = "") -> str:
    """Per second, over all workers; `by` names labels that stay apart."""
    return f"{summed(by)} (rate({picked(name, *matchers)}[$__rate_interval]))"


def increase(name: str, *matchers: str, by: str = "", over: str = "$__range") -> str:
    """How many in the time that is shown."""
    return f"{summed(by)} (increase({picked(name, *matchers)}[{over}]))"


def summed(by: str) -> str:
    """`sum by (…)`, or `sum` of all."""
    return f"sum by ({by})" if by else "sum"


def quantile(share: float, name: str, *matchers: str, by: str = "") -> str:
    """Of a histogram's values, over all workers."""
    apart = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{name}_bucket', *matchers, by=apart)})"


def mean(name: str, *matchers: str, by: str = "") -> str:
    """Of a histogram's values, over all workers."""
    total = rate(f"{name}_sum", *matchers, by=by)
    return f"{total} / {rate(f'{name}_count', *matchers, by=by)}"


def over(part: str, whole: str) -> str:
    """A share; nothing where the whole is 0."""
    return f"({part}) / (({whole}) > 0)"


def share(part: str, whole: str) -> str:
    """A share for each line of `whole`, 0 where `part` has never been counted there."""
    return f"(({part}) or 0 * ({whole})) / (({whole}) > 0)"


def part_of_all(part: str, whole: str) -> str:
    """A share of one number, for each line of `part`."""
    return f"({part}) / on () group_left () (({whole}) > 0)"


def or_zero(expr: str) -> str:
    """0 where nothing has been counted yet: a failure that never happened is no gap."""
    return f"({expr}) or on() vector(0)"
