"""Alerts on replicas, as the gateway sees them and as vLLM tells."""

from __future__ import annotations

from deploy.monitoring.alert import Alert
from deploy.monitoring.pace import Pace

_UP = "sum by (replica) (gw_upstream_up)"
_KNOWN = "sum by (replica) (gw_replica_state)"
_DRAINED = 'sum by (replica) (gw_replica_state{state="drained"})'


def replica_alerts(pace: Pace) -> tuple[Alert, ...]:
    """Out of rotation, uneven, full."""
    return (*_rotation(pace), *_vllm(pace))


def _rotation(pace: Pace) -> tuple[Alert, ...]:
    attempts = f"sum by (replica) (rate(gw_upstream_attempts_total[{pace('15m')}]))"
    return (
        Alert(
            "GwReplicaDown",
            "ticket",
            pace("2m"),
            # A replica that is gone from the configuration is known to nobody; one that is
            # drained is meant to be out.
            f"{_UP} == 0 and {_KNOWN} > 0 unless {_DRAINED} > 0",
            "No process of the gateway sends to replica {{ $labels.replica }}",
        ),
        Alert(
            "GwAllReplicasDown",
            "page",
            pace("1m"),
            "sum(gw_upstream_up) == 0 and sum(gw_replica_state) > 0",
            "No replica is in rotation: every call fails",
        ),
        Alert(
            "GwCircuitFlapping",
            "ticket",
            pace("5m"),
            f"max by (replica) (changes(gw_upstream_up[{pace('15m')}])) > 5",
            "Replica {{ $labels.replica }} went in and out of rotation {{ $value }} times",
        ),
        Alert(
            "GwReplicaImbalance",
            "ticket",
            pace("15m"),
            f"max({attempts}) / avg({attempts}) > 2 and sum({attempts}) > 0.5",
            'The busiest replica has {{ $value | printf "%.1f" }} times the mean load',
        ),
    )


def _vllm(pace: Pace) -> tuple[Alert, ...]:
    waiting = "vllm:num_requests_waiting"
    window = pace("10m")
    return (
        Alert(
            "VllmDown",
            "ticket",
            pace("5m"),
            'up{job="vllm"} == 0',
            "vLLM {{ $labels.instance }} does not answer the scrape",
        ),
        Alert(
            "VllmKVCacheFull",
            "ticket",
            pace("10m"),
            "max by (replica) (vllm:kv_cache_usage_perc) > 0.95",
            "The KV cache of {{ $labels.replica }} is {{ $value | humanizePercentage }} full",
        ),
        Alert(
            "VllmWaiting",
            "ticket",
            pace("5m"),
            f"sum by (replica) (min_over_time({waiting}[{window}])) > 0 "
            f"and sum by (replica) (deriv({waiting}[{window}])) > 0",
            "The queue of {{ $labels.replica }} grows and has not been empty for long",
        ),
        Alert(
            "VllmPreemptions",
            "ticket",
            pace("10m"),
            f"sum by (replica) (rate(vllm:num_preemptions_total[{pace('5m')}])) > 0.1",
            "{{ $labels.replica }} pushes out calls and computes them again",
        ),
    )
