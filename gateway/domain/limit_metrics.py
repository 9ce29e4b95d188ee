"""The metrics of policies, limits and budgets: rows of the table in metrics.py."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric

POLICY_SECONDS = Metric(
    "gw_policy_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "Time that a policy took for a call, or for the whole of an answer.",
    ("policy",),
    (0.00001, 0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
RATE_LIMITED = Metric(
    "gw_ratelimit_rejections_total",
    Kind.COUNTER,
    "requests",
    "Calls that a limit refused (policies ratelimit and concurrency), by whom the limit is for.",
    ("policy", "scope"),
)
BUDGET_USED = Metric(
    "gw_budget_used_ratio",
    Kind.GAUGE,
    "ratio",
    "What a team has used of its budget, 1 is all of it, as of its last call: of several rules "
    "`per: team` of a policy, the one that was settled last.",
    ("policy", "team"),
)
COST = Metric(
    "gw_cost_total",
    Kind.COUNTER,
    "units",
    "What calls cost by the prices of their models, in units of their currency; as in the ledger.",
    ("team", "model"),
)
BUDGET_ALERTS = Metric(
    "gw_budget_alerts_total",
    Kind.COUNTER,
    "alerts",
    "Budgets that have reached so many percent of themselves, once in each of their periods.",
    ("policy", "percent"),
)
REDACTIONS = Metric(
    "gw_redactions_total",
    Kind.COUNTER,
    "texts",
    "Secrets and personal details that the policy redaction took out of requests and answers, and "
    "the assistant (policy `assist`) out of source code.",
    ("policy", "kind"),
)
