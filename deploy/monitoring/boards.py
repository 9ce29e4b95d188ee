"""The three dashboards."""

from __future__ import annotations

from dataclasses import replace

from deploy.monitoring.inner_rows import inner_row
from deploy.monitoring.panel import Board, Row, Variable
from deploy.monitoring.replica_rows import reliability_row, replica_row, vllm_rows
from deploy.monitoring.service_rows import latency_row, slo_row, traffic_row
from deploy.monitoring.use_rows import (
    policy_row,
    prompt_details,
    prompt_panels,
    prompt_row,
    token_row,
)

_MODEL = Variable("model", "gw_inflight", "model", "Model")
_ROUTE = Variable("route", "gw_requests_total", "route", "Route")
_TEAM = Variable("team", "gw_requests_total", "team", "Team")
_REPLICA = Variable("replica", "gw_upstream_up", "replica", "Replica")
_PROMPT = Variable("prompt", "gw_prompt_duration_seconds_count", "prompt", "Prompt")
ALL = (_MODEL, _ROUTE, _TEAM, _REPLICA, _PROMPT)


def boards() -> tuple[Board, ...]:
    """In the order in which one looks at them."""
    first = (slo_row(), traffic_row(), latency_row(), token_row(), reliability_row())
    rest = (replica_row(), prompt_row(), policy_row(), inner_row())
    return (
        Board(
            "llm-gateway",
            "LLM gateway",
            "What hurts, which replica, which team, which prompt.",
            ALL,
            (*first, *(replace(row, collapsed=True) for row in rest)),
        ),
        Board(
            "vllm-replicas",
            "vLLM replicas",
            "What each vLLM does, by its own metrics.",
            (_REPLICA,),
            vllm_rows(),
        ),
        Board(
            "llm-prompts",
            "Prompts",
            "Prompts by version: calls, failures, time, tokens, rewrites that apply.",
            (_PROMPT,),
            (Row("By version", prompt_panels()), prompt_details()),
        ),
    )
