"""Alerts on what clients feel."""

from __future__ import annotations

from deploy.monitoring.alert import Alert
from deploy.monitoring.pace import Pace
from deploy.monitoring.slo import OBJECTIVE, TTFT_OBJECTIVE, TTFT_SECONDS

_PERCENT = "{{ $value | humanizePercentage }}"
_SECONDS = "{{ $value | humanizeDuration }}"


def service_alerts(pace: Pace) -> tuple[Alert, ...]:
    """Down, burning, slow, cut."""
    return (*_presence(pace), *_burn(pace), *_slowness(pace), *_shares(pace))


def share(part: str, whole: str, window: str) -> str:
    """Of the calls that have these matchers, those that have the others too; nothing without."""
    calls = f"sum(rate(gw_requests_total{{{whole}}}[{window}]))"
    return f"sum(rate(gw_requests_total{{{part}}}[{window}])) / ({calls} > 0)"


def _presence(pace: Pace) -> tuple[Alert, ...]:
    return (
        Alert(
            "GwDown",
            "page",
            pace("1m"),
            'up{job="gateway"} == 0',
            "Gateway {{ $labels.instance }} does not answer",
        ),
        Alert(
            "GwMetricsAbsent",
            "page",
            pace("5m"),
            "absent(gw_config_info)",
            "No gateway is measured: nothing else would be noticed",
        ),
    )


def _both(ratio: str, windows: tuple[str, str], limit: float) -> str:
    first, second = (f"{ratio}:ratio_rate{window} > {limit:.6g}" for window in windows)
    return f"{first} and {second}"


def _burn(pace: Pace) -> tuple[Alert, ...]:
    errors, slow = "gw:errors_per_request", "gw:slow_first_tokens"
    budget = 1 - OBJECTIVE
    return (
        Alert(
            "GwErrorBudgetBurnFast",
            "page",
            pace("2m"),
            _both(errors, ("5m", "1h"), 14.4 * budget),
            f"{_PERCENT} of calls fail: 30 days' error budget is gone in 2 days",
        ),
        Alert(
            "GwErrorBudgetBurnSlow",
            "page",
            pace("15m"),
            _both(errors, ("30m", "6h"), 6 * budget),
            f"{_PERCENT} of calls fail: 30 days' error budget is gone in 5 days",
        ),
        Alert(
            "GwErrorBudgetBurnCreeping",
            "ticket",
            pace("1h"),
            _both(errors, ("6h", "3d"), budget),
            f"{_PERCENT} of calls fail: more than the objective allows",
        ),
        Alert(
            "GwTTFTSLOBurn",
            "ticket",
            pace("5m"),
            _both(slow, ("5m", "1h"), 6 * (1 - TTFT_OBJECTIVE)),
            f"{_PERCENT} of streams wait more than {TTFT_SECONDS:g} s for their first token",
        ),
    )


def _slowness(pace: Pace) -> tuple[Alert, ...]:
    window = pace("5m")

    def quantile(share: float, name: str, by: str) -> str:
        return f"histogram_quantile({share}, sum by ({by}) (rate({name}_bucket[{window}])))"

    overhead = quantile(0.99, "gw_overhead_seconds", "le")
    wait = quantile(0.95, "gw_queue_wait_seconds", "le, model")
    return (
        Alert(
            "GwOverheadHigh",
            "ticket",
            pace("10m"),
            f"{overhead} > 0.05",
            f"The gateway's own part of a call takes {_SECONDS} (p99)",
        ),
        Alert(
            "GwQueueSaturated",
            "page",
            pace("5m"),
            f"{wait} > 5 or sum by (model) (rate(gw_shed_total[{window}])) > 0.1",
            "Calls of {{ $labels.model }} wait for a slot, or are refused for want of one",
        ),
    )


def _shares(pace: Pace) -> tuple[Alert, ...]:
    window = pace("5m")
    counted = 'outcome!~"cancelled|refused"'
    late = share('outcome="timeout"', counted, window)
    cut = share('outcome="truncated"', counted, window)
    left = share('outcome="cancelled"', "", window)
    return (
        Alert(
            "GwTimeouts504",
            "ticket",
            pace("5m"),
            f"{late} > 0.01",
            f"{_PERCENT} of calls run out of time",
        ),
        Alert(
            "GwStreamTruncated",
            "ticket",
            pace("5m"),
            f"{cut} > 0.01",
            f"{_PERCENT} of calls get a stream without its end",
        ),
        Alert(
            "GwCancelSpike",
            "ticket",
            pace("10m"),
            f"{left} > 0.3 and sum(rate(gw_requests_total[{window}])) > 0.1",
            f"{_PERCENT} of calls are left by their clients",
        ),
        Alert(
            "GwRetryStorm",
            "ticket",
            pace("5m"),
            f"sum(rate(gw_retries_total[{window}])) "
            f"/ (sum(rate(gw_requests_total[{window}])) > 0) > 0.2",
            f"Retries are {_PERCENT} of calls",
        ),
        Alert(
            "GwFallbackActive",
            "ticket",
            pace("10m"),
            f"sum by (from_model, to_model) (rate(gw_fallbacks_total[{window}])) > 0",
            "Calls of {{ $labels.from_model }} are answered by {{ $labels.to_model }}",
        ),
    )
