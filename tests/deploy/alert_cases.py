"""For each alert: series with which it fires, and series near them with which it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Series = Mapping[str, str]

LONG = 240


@dataclass(frozen=True)
class Case:
    """`fires` and `quiet` are promtool's input series, a value each `step`; `at` is when one looks.
    `labels` are those of the alert beside its severity."""

    fires: Series
    quiet: Series
    summary: str
    labels: Mapping[str, str] = field(default_factory=dict)
    at: str = "40m"
    step: str = "1m"


def steady(a_step: float, start: float = 0, steps: int = LONG) -> str:
    """A counter that grows by so much each step."""
    return f"{start:g}+{a_step:g}x{steps}"


def flat(value: float, steps: int = LONG) -> str:
    """A gauge that stays."""
    return f"{value:g}+0x{steps}"


def calls(**outcomes: float) -> dict[str, str]:
    """gw_requests_total of two workers; so many of each outcome a step, together."""
    return {
        f'gw_requests_total{{outcome="{outcome}",route="/v1/chat/completions",model="m",'
        f'team="t",worker="{worker}"}}': steady(number / 2)
        for outcome, number in outcomes.items()
        for worker in "01"
    }


def histogram(name: str, labels: str, buckets: Mapping[str, float]) -> dict[str, str]:
    """Of so many values a step up to each bound (cumulative); the last is `+Inf`."""
    comma = "," if labels else ""
    shown = {f'{name}_bucket{{{labels}{comma}le="{le}"}}': n for le, n in buckets.items()}
    shown[f"{name}_count{{{labels}}}"] = list(buckets.values())[-1]
    return {series: steady(number) for series, number in shown.items()}


def waits(slow: float) -> dict[str, str]:
    """Streams of which a share waits long for its first token."""
    name = "gen_ai_server_time_to_first_token_seconds"
    return histogram(name, 'worker="0"', {"1.0": 0, "2.5": 100 - slow, "+Inf": 100})


def states(up: int, state: str, replicas: str = "a") -> dict[str, str]:
    """Replicas in the eyes of one worker."""
    return {
        series: value
        for one in replicas
        for series, value in (
            (f'gw_upstream_up{{replica="{one}",worker="0"}}', flat(up)),
            (f'gw_replica_state{{replica="{one}",state="{state}",worker="0"}}', flat(1)),
        )
    }


CHAT = 'route="/v1/chat/completions"'
DIFFS = 'gw_rewrite_diff_total{prompt_text="code/rewrite@2+abc",result="%s"}'
VERSION = 'gw_prompt_requests_total{prompt_text="code/explain@2+abc",variant="",outcome="%s"}'
TOKENS = (
    "gen_ai_client_inference_usage_output_tokens_total"
    '{gen_ai_operation_name="chat",gen_ai_request_model="m"}'
)
GATEWAY = 'job="gateway",instance="gw:8000"'

CASES: dict[str, Case] = {
    "GwDown": Case(
        {f"up{{{GATEWAY}}}": "1+0x30 0+0x60"},
        {f"up{{{GATEWAY}}}": flat(1)},
        "Gateway gw:8000 does not answer",
        {"job": "gateway", "instance": "gw:8000"},
    ),
    "GwMetricsAbsent": Case(
        {"other": flat(1)},
        {'gw_config_info{sha="abc"}': flat(1)},
        "No gateway is measured: nothing else would be noticed",
    ),
    "GwErrorBudgetBurnFast": Case(
        calls(completed=900, failed=100),
        # Five in a hundred: too many, and slower than this one asks for.
        calls(completed=950, failed=50, cancelled=500, refused=500),
        "10% of calls fail: 30 days' error budget is gone in 2 days",
    ),
    "GwErrorBudgetBurnSlow": Case(
        calls(completed=950, timeout=50),
        calls(completed=980, failed=20),
        "5% of calls fail: 30 days' error budget is gone in 5 days",
    ),
    "GwErrorBudgetBurnCreeping": Case(
        calls(completed=980, truncated=20),
        calls(completed=998, failed=2),
        "2% of calls fail: more than the objective allows",
        at="150m",
    ),
    "GwTTFTSLOBurn": Case(
        waits(40),
        waits(20),
        "40% of streams wait more than 2.5 s for their first token",
    ),
    "GwOverheadHigh": Case(
        histogram("gw_overhead_seconds", 'route="/v1"', {"0.05": 90, "0.1": 100, "+Inf": 100}),
        histogram("gw_overhead_seconds", 'route="/v1"', {"0.05": 100, "0.1": 100, "+Inf": 100}),
        "The gateway's own part of a call takes 95ms (p99)",
    ),
    "GwQueueSaturated": Case(
        {'gw_shed_total{model="m",priority="normal"}': steady(60)},
        histogram("gw_queue_wait_seconds", 'model="m"', {"1.0": 99, "5.0": 100, "+Inf": 100}),
        "Calls of m wait for a slot, or are refused for want of one",
        {"model": "m"},
    ),
    "GwTimeouts504": Case(
        calls(completed=98, timeout=2),
        calls(completed=999, timeout=1, cancelled=900),
        "2% of calls run out of time",
    ),
    "GwStreamTruncated": Case(
        calls(completed=98, truncated=2),
        calls(completed=100, failed=9),
        "2% of calls get a stream without its end",
    ),
    "GwCancelSpike": Case(
        calls(completed=60, cancelled=40),
        calls(completed=80, cancelled=20),
        "40% of calls are left by their clients",
    ),
    "GwRetryStorm": Case(
        {**calls(completed=100), 'gw_retries_total{reason="timeout"}': steady(50)},
        {**calls(completed=100), 'gw_retries_total{reason="timeout"}': steady(10)},
        "Retries are 50% of calls",
    ),
    "GwFallbackActive": Case(
        {'gw_fallbacks_total{from_model="a",to_model="b",reason="timeout"}': steady(1)},
        {'gw_fallbacks_total{from_model="a",to_model="b",reason="timeout"}': flat(7)},
        "Calls of a are answered by b",
        {"from_model": "a", "to_model": "b"},
    ),
    "GwReplicaDown": Case(
        {**states(0, "unhealthy"), **states(1, "healthy", "b")},
        states(0, "drained"),
        "No process of the gateway sends to replica a",
        {"replica": "a"},
    ),
    "GwAllReplicasDown": Case(
        states(0, "cooling", "ab"),
        {**states(0, "cooling"), **states(1, "healthy", "b")},
        "No replica is in rotation: every call fails",
    ),
    "GwCircuitFlapping": Case(
        {'gw_upstream_up{replica="a",worker="0"}': " ".join(["1 0"] * 60)},
        {'gw_upstream_up{replica="a",worker="0"}': "1+0x25 0+0x5 1+0x60"},
        "Replica a went in and out of rotation 15 times",
        {"replica": "a"},
    ),
    "GwReplicaImbalance": Case(
        {
            'gw_upstream_attempts_total{replica="a",outcome="ok"}': steady(600),
            'gw_upstream_attempts_total{replica="b",outcome="ok"}': steady(30),
            'gw_upstream_attempts_total{replica="c",outcome="ok"}': steady(30),
        },
        {
            'gw_upstream_attempts_total{replica="a",outcome="ok"}': steady(600),
            'gw_upstream_attempts_total{replica="b",outcome="ok"}': steady(400),
        },
        "The busiest replica has 2.7 times the mean load",
    ),
    "VllmDown": Case(
        {'up{job="vllm",instance="v:8000",replica="a"}': flat(0)},
        {'up{job="vllm",instance="v:8000",replica="a"}': flat(1)},
        "vLLM v:8000 does not answer the scrape",
        {"job": "vllm", "instance": "v:8000", "replica": "a"},
    ),
    "VllmKVCacheFull": Case(
        {'vllm:kv_cache_usage_perc{engine="0",replica="a"}': flat(0.97)},
        {'vllm:kv_cache_usage_perc{engine="0",replica="a"}': flat(0.9)},
        "The KV cache of a is 97% full",
        {"replica": "a"},
    ),
    "VllmWaiting": Case(
        {'vllm:num_requests_waiting{engine="0",replica="a"}': steady(1, start=1)},
        {'vllm:num_requests_waiting{engine="0",replica="a"}': flat(5)},
        "The queue of a grows and has not been empty for long",
        {"replica": "a"},
    ),
    "VllmPreemptions": Case(
        {'vllm:num_preemptions_total{engine="0",replica="a"}': steady(12)},
        {'vllm:num_preemptions_total{engine="0",replica="a"}': steady(1)},
        "a pushes out calls and computes them again",
        {"replica": "a"},
    ),
    "GwUsageEstimatedHigh": Case(
        {**calls(completed=100), 'gw_usage_estimated_total{model="m"}': steady(5)},
        {**calls(completed=100), 'gw_usage_estimated_total{model="m"}': steady(1)},
        "The use of 5% of calls is a guess",
    ),
    "GwTokensZero": Case(
        {**calls(completed=60), TOKENS: flat(0)},
        {**calls(completed=60), TOKENS: steady(60)},
        "Calls of m complete and no tokens are counted",
        {"model": "m"},
    ),
    "GwBudget80": Case(
        {'gw_budget_used_ratio{policy="budget",team="t",worker="0"}': flat(0.85)},
        {'gw_budget_used_ratio{policy="budget",team="t",worker="0"}': flat(0.75)},
        "Team t has used 85% of its budget",
        {"team": "t", "policy": "budget"},
    ),
    "GwBudget100": Case(
        {'gw_budget_used_ratio{policy="budget",team="t",worker="0"}': flat(1.02)},
        {'gw_budget_used_ratio{policy="budget",team="t",worker="0"}': flat(0.99)},
        "Team t has used up its budget: its calls are refused",
        {"team": "t", "policy": "budget"},
    ),
    "GwCostAnomaly": Case(
        # 1008 steps of ten minutes are a week.
        {'gw_cost_total{team="t",model="m"}': "0+0.5x1020 510+3x100"},
        {'gw_cost_total{team="t",model="m"}': steady(0.5, steps=1120)},
        "Team t spends three times what it did in this hour a week ago",
        {"team": "t"},
        at="174h",
        step="10m",
    ),
    "GwPromptErrorSpike": Case(
        {VERSION % "completed": steady(80), VERSION % "failed": steady(20)},
        {VERSION % "completed": steady(95), VERSION % "failed": steady(5)},
        "20% of the calls of prompt code/explain@2+abc fail",
        {"prompt_text": "code/explain@2+abc"},
    ),
    "GwDiffMalformedHigh": Case(
        {DIFFS % "applies": steady(60), DIFFS % "malformed": steady(40)},
        {DIFFS % "applies": steady(90), DIFFS % "malformed": steady(10)},
        "40% of the rewrites of prompt code/rewrite@2+abc cannot be read",
        {"prompt_text": "code/rewrite@2+abc"},
    ),
    "GwPolicyErrors": Case(
        {'gw_policy_decisions_total{policy="budget",decision="failed"}': steady(1)},
        {'gw_policy_decisions_total{policy="budget",decision="refused"}': steady(9)},
        "Policy budget breaks: calls are refused, or pass it by",
        {"policy": "budget"},
    ),
    "GwAuthFailureSpike": Case(
        {'gw_auth_failures_total{reason="unknown"}': steady(120)},
        {'gw_auth_failures_total{reason="unknown"}': steady(30)},
        "2.0 requests a second come without a valid key",
    ),
    "GwConfigReloadFailed": Case(
        # The first of its kind: the series was not there before.
        {'gw_config_reload_total{result="failed"}': "_x35 1+0x60"},
        {
            'gw_config_reload_total{result="ok"}': steady(1),
            'gw_config_reload_total{result="failed"}': flat(1),
        },
        "A changed configuration is broken: the last good one stays",
    ),
    "GwConfigsDiffer": Case(
        {'gw_config_info{sha="abc"}': flat(1), 'gw_config_info{sha="def"}': flat(1)},
        {'gw_config_info{sha="abc"}': flat(2), 'gw_config_info{sha="def"}': flat(0)},
        "2 configurations run side by side",
    ),
    "GwTelemetryDropping": Case(
        {'gw_telemetry_dropped_total{signal="spans"}': steady(5)},
        {'gw_telemetry_dropped_total{signal="spans"}': flat(5)},
        "spans are lost: the collector is gone or too slow",
        {"signal": "spans"},
    ),
    "GwCardinalityHigh": Case(
        {'gw_metric_series_dropped_total{metric="gw_requests_total"}': "_x20 4+0x90"},
        {'gw_metric_series_dropped_total{metric="gw_requests_total"}': flat(0)},
        "gw_requests_total is at its bound of series: new values count as `other`",
        {"metric": "gw_requests_total"},
    ),
    "GwEventLoopLag": Case(
        histogram(
            "gw_event_loop_lag_seconds",
            'instance="gw:8000",worker="1"',
            {"0.1": 90, "0.5": 100, "+Inf": 100},
        ),
        histogram(
            "gw_event_loop_lag_seconds",
            'instance="gw:8000",worker="1"',
            {"0.1": 100, "0.5": 100, "+Inf": 100},
        ),
        "A process of gw:8000 is late by 460ms",
        {"instance": "gw:8000", "worker": "1"},
    ),
    "GwOpenFiles": Case(
        {
            f'process_open_fds{{{GATEWAY},worker="0"}}': flat(900),
            f'process_max_fds{{{GATEWAY},worker="0"}}': flat(1000),
        },
        {
            f'process_open_fds{{{GATEWAY},worker="0"}}': flat(100),
            f'process_max_fds{{{GATEWAY},worker="0"}}': flat(1000),
        },
        "gw:8000 has 90% of its files open",
        {"instance": "gw:8000", "worker": "0"},
    ),
    "GwWorkerRestarts": Case(
        {f"gw_worker_restarts_total{{{GATEWAY}}}": steady(0.1)},
        {f"gw_worker_restarts_total{{{GATEWAY}}}": "0+0x30 1+0x60"},
        "Workers of gw:8000 die: 6 in an hour",
        {"instance": "gw:8000"},
        at="120m",
    ),
    "GwLedgerBacklog": Case(
        {'gw_ledger_backlog{worker="0"}': flat(600), 'gw_ledger_backlog{worker="1"}': flat(600)},
        {'gw_ledger_backlog{worker="0"}': flat(600)},
        "1200 settled calls wait for the database",
    ),
    "GwLedgerLost": Case(
        {'gw_ledger_lost_total{worker="0"}': "_x35 3+0x60"},
        {'gw_ledger_lost_total{worker="0"}': flat(3)},
        "Use of calls is lost: bills and budgets will be too low",
    ),
}
