"""Alerts on tokens, money, prompts, policies and keys."""

from __future__ import annotations

from deploy.monitoring.alert import Alert
from deploy.monitoring.pace import Pace

_PERCENT = "{{ $value | humanizePercentage }}"
_OUTPUT = "gen_ai_client_inference_usage_output_tokens_total"


def use_alerts(pace: Pace) -> tuple[Alert, ...]:
    """What is counted wrong, spent too fast, or refused too often."""
    return (*_counting(pace), *_money(pace), *_prompts(pace), *_policies(pace))


def _counting(pace: Pace) -> tuple[Alert, ...]:
    window = pace("10m")
    calls = f'sum(rate(gw_requests_total{{outcome!="refused"}}[{window}]))'
    completed = (
        'sum by (model) (rate(gw_requests_total{outcome="completed",'
        f'route=~".*(completions|responses|messages|/ai/).*"}}[{window}]))'
    )
    tokens = (
        f'label_replace(sum by (gen_ai_request_model) (rate({_OUTPUT}[{window}])), "model", "$1", '
        '"gen_ai_request_model", "(.*)")'
    )
    return (
        Alert(
            "GwUsageEstimatedHigh",
            "ticket",
            pace("15m"),
            f"sum(rate(gw_usage_estimated_total[{window}])) / ({calls} > 0) > 0.02",
            f"The use of {_PERCENT} of calls is a guess",
        ),
        Alert(
            "GwTokensZero",
            "ticket",
            pace("10m"),
            f"{completed} > 0 unless on (model) {tokens} > 0",
            "Calls of {{ $labels.model }} complete and no tokens are counted",
        ),
    )


def _money(pace: Pace) -> tuple[Alert, ...]:
    used = "max by (team, policy) (gw_budget_used_ratio)"
    spent = f"sum by (team) (increase(gw_cost_total[{pace('1h')}]))"
    before = f"sum by (team) (increase(gw_cost_total[{pace('1h')}] offset {pace('1w')}))"
    return (
        Alert(
            "GwBudget80",
            "ticket",
            pace("1m"),
            f"{used} >= 0.8 < 1",
            f"Team {{{{ $labels.team }}}} has used {_PERCENT} of its budget",
        ),
        Alert(
            "GwBudget100",
            "ticket",
            pace("1m"),
            f"{used} >= 1",
            "Team {{ $labels.team }} has used up its budget: its calls are refused",
        ),
        Alert(
            "GwCostAnomaly",
            "ticket",
            pace("10m"),
            f"{spent} > 3 * {before} and {spent} > 1",
            "Team {{ $labels.team }} spends three times what it did in this hour a week ago",
        ),
    )


def _prompts(pace: Pace) -> tuple[Alert, ...]:
    window = pace("10m")

    def rate(matchers: str) -> str:
        return f"sum by (prompt_text) (rate(gw_prompt_requests_total{{{matchers}}}[{window}]))"

    def diffs(matchers: str) -> str:
        return f"sum by (prompt_text) (rate(gw_rewrite_diff_total{matchers}[{window}]))"

    failed = rate('outcome=~"failed|timeout|truncated"')
    counted = rate('outcome!~"cancelled|refused"')
    malformed = diffs('{result="malformed"}')
    return (
        Alert(
            "GwPromptErrorSpike",
            "ticket",
            pace("5m"),
            f"{failed} / ({counted} > 0) > 0.1 and {rate('')} > 0.01",
            f"{_PERCENT} of the calls of prompt {{{{ $labels.prompt_text }}}} fail",
        ),
        Alert(
            "GwDiffMalformedHigh",
            "ticket",
            pace("15m"),
            f"{malformed} / ({diffs('')} > 0) > 0.2",
            f"{_PERCENT} of the rewrites of prompt {{{{ $labels.prompt_text }}}} cannot be read",
        ),
    )


def _policies(pace: Pace) -> tuple[Alert, ...]:
    window = pace("5m")
    return (
        Alert(
            "GwPolicyErrors",
            "page",
            pace("2m"),
            'sum by (policy) (rate(gw_policy_decisions_total{decision=~"failed|skipped"}'
            f"[{window}])) > 0",
            "Policy {{ $labels.policy }} breaks: calls are refused, or pass it by",
        ),
        Alert(
            "GwAuthFailureSpike",
            "ticket",
            pace("5m"),
            f"sum(rate(gw_auth_failures_total[{window}])) > 1",
            '{{ $value | printf "%.1f" }} requests a second come without a valid key',
        ),
    )
