"""What is used and what it costs; what prompts do; what policies say."""

from __future__ import annotations

from deploy.monitoring.exported import increase, mean, or_zero, over, picked, quantile, rate, share
from deploy.monitoring.panel import Panel, Query, Row, graph, stacked, table

MODEL = "gen_ai_request_model"
INPUT = "gen_ai_client_inference_usage_input_tokens_total"
OUTPUT = "gen_ai_client_inference_usage_output_tokens_total"
CACHED = "gen_ai_client_inference_usage_cache_read_input_tokens_total"
REASONING = "gen_ai_client_inference_usage_reasoning_output_tokens_total"
COST = "gw_cost_total"
PROMPTED = "gw_prompt_requests_total"


def _line(expr: str, legend: str) -> Query:
    return Query(expr, legend)


def token_row() -> Row:
    """Tokens and money, by those who count them: the replicas."""
    return Row(
        "Tokens and cost",
        (
            graph(
                "Tokens",
                "short",
                "Each second, as replicas count them. Cached is a part of input, reasoning of "
                "output.",
                _line(rate(INPUT), "input"),
                _line(rate(OUTPUT), "output"),
                _line(rate(CACHED), "cached"),
                _line(rate(REASONING), "reasoning"),
            ),
            graph(
                "Prefix cache",
                "percentunit",
                "Share of prompt tokens that a replica had already; falls when calls of one "
                "conversation go to different replicas.",
                _line(over(rate(CACHED, by=MODEL), rate(INPUT, by=MODEL)), f"{{{{{MODEL}}}}}"),
            ),
            graph(
                "Tokens of a call, p95",
                "short",
                "The largest prompts decide how many fit at once.",
                _line(quantile(0.95, "gen_ai_client_inference_operation_input_tokens"), "input"),
                _line(quantile(0.95, "gen_ai_client_inference_operation_output_tokens"), "output"),
            ),
            stacked(
                "Cost per hour by team",
                "short",
                "By the prices of config/gateway.yaml, in units of their currency.",
                _line(f"{rate(COST, by='team')} * 3600", "{{team}}"),
            ),
            graph(
                "Budget used",
                "percentunit",
                "1 is all of it: calls are refused from there.",
                _line(f"max by (team, policy) ({picked('gw_budget_used_ratio')})", "{{team}}"),
            ),
            graph(
                "Tokens that nobody read",
                "short",
                "Each second: for clients who left, or attempts that were made again.",
                _line(or_zero(rate("gw_wasted_output_tokens_total", by="reason")), "{{reason}}"),
            ),
            graph(
                "Calls with estimated use",
                "percentunit",
                "The answer was cut before the replica told. Budgets are wrong by as much.",
                _line(
                    over(
                        or_zero(rate("gw_usage_estimated_total")),
                        rate("gw_requests_total", 'outcome!="refused"'),
                    ),
                    "estimated",
                ),
            ),
            graph(
                "Estimated tokens",
                "short",
                "A second, by kind: what the calls beside it may be wrong by.",
                _line(
                    or_zero(rate("gw_usage_estimated_tokens_total", by="token_type")),
                    "{{token_type}}",
                ),
            ),
            table(
                "Cost by team and model",
                "short",
                "In the time shown.",
                _line(f"topk(20, {increase(COST, by='team, model')})", ""),
                width=8,
            ),
            graph(
                "Budgets that crossed a mark",
                "short",
                "Once for each period of a budget.",
                _line(
                    increase("gw_budget_alerts_total", by="policy, percent", over="1h"),
                    "{{policy}} {{percent}} %",
                ),
            ),
        ),
    )


def prompt_panels() -> tuple[Panel, ...]:
    """Of the row Prompts, and of the dashboard of that name."""
    bad = 'outcome=~"failed|timeout|truncated"'
    diffs = "gw_rewrite_diff_total"
    return (
        stacked(
            "Calls by prompt and version",
            "reqps",
            "name@version+hash of the text: a change shows as a new colour.",
            _line(rate(PROMPTED, by="prompt_text"), "{{prompt_text}}"),
        ),
        graph(
            "Failures by version",
            "percentunit",
            "Share of the calls of a version that failed, timed out or were cut.",
            _line(
                over(
                    f"{rate(PROMPTED, bad, by='prompt_text')} or "
                    f"{rate(PROMPTED, by='prompt_text')} * 0",
                    rate(PROMPTED, by="prompt_text"),
                ),
                "{{prompt_text}}",
            ),
        ),
        graph(
            "Duration, p95",
            "s",
            "By prompt and variant.",
            _line(
                quantile(0.95, "gw_prompt_duration_seconds", by="prompt, variant"),
                "{{prompt}} {{variant}}",
            ),
        ),
        graph(
            "Rewrites that apply",
            "percentunit",
            "Share of answers whose diff applies, by version of the prompt: what a better prompt "
            "raises.",
            _line(
                share(
                    rate(diffs, 'result="applies"', by="prompt_text"),
                    rate(diffs, by="prompt_text"),
                ),
                "{{prompt_text}}",
            ),
        ),
        stacked(
            "Generated tokens by prompt",
            "short",
            "Each second.",
            _line(
                rate("gw_prompt_output_tokens_total", by="prompt, variant"),
                "{{prompt}} {{variant}}",
            ),
        ),
        graph(
            "Context cut",
            "percentunit",
            "Share of calls for which something had to be left out of the window.",
            _line(
                over(
                    or_zero(rate("gw_context_truncated_total")),
                    rate("gw_context_tokens_count"),
                ),
                "cut",
            ),
        ),
    )


def prompt_row() -> Row:
    """Prompts are files with versions: is the newest one better?"""
    return Row("Prompts", prompt_panels())


def prompt_details() -> Row:
    """Of the dashboard Prompts alone."""
    return Row(
        "Made and tried",
        (
            graph(
                "Errors of prompts",
                "reqps",
                "A missing input, a tag that does not close: the prompt or its caller is wrong.",
                _line(
                    or_zero(rate("gw_prompt_errors_total", by="prompt, reason")),
                    "{{prompt}} {{reason}}",
                ),
            ),
            graph(
                "Time to render, p95",
                "s",
                "Milliseconds; more means a very large input.",
                _line(quantile(0.95, "gw_prompt_render_seconds", by="prompt"), "{{prompt}}"),
            ),
            graph(
                "Tokens of context, p95",
                "short",
                "What goes into the window, by prompt.",
                _line(quantile(0.95, "gw_context_tokens", by="prompt"), "{{prompt}}"),
            ),
            stacked(
                "Results of rewrites",
                "reqps",
                "applies, malformed (no diff could be read), empty (nothing changed).",
                _line(rate("gw_rewrite_diff_total", by="result"), "{{result}}"),
            ),
            stacked(
                "Shadow runs",
                "reqps",
                "Answers that no client sees, by what became of them.",
                _line(rate("gw_shadow_runs_total", by="result"), "{{result}}"),
            ),
            graph(
                "Tokens of an answer",
                "short",
                "Generated tokens of a call, mean.",
                _line(
                    over(
                        rate("gw_prompt_output_tokens_total", by="prompt"),
                        rate("gw_prompt_duration_seconds_count", by="prompt"),
                    ),
                    "{{prompt}}",
                ),
            ),
            table(
                "Sets of prompts served",
                "short",
                "Two rows: some processes serve other files than the rest.",
                _line("count by (sha) (gw_prompts_info > 0)", ""),
            ),
            table(
                "Calls by version",
                "short",
                "In the time shown, by outcome.",
                _line(increase(PROMPTED, by="prompt_text, variant, outcome"), ""),
                width=16,
            ),
        ),
    )


def policy_row() -> Row:
    """What was refused, by which rule, to whom."""
    refused = 'outcome="refused"'
    return Row(
        "Policies and security",
        (
            stacked(
                "Decisions",
                "ops",
                "By policy and verdict.",
                _line(
                    rate("gw_policy_decisions_total", by="policy, decision"),
                    "{{policy}} {{decision}}",
                ),
            ),
            graph(
                "Time of a policy, p95",
                "s",
                "Part of the gateway's own time.",
                _line(quantile(0.95, "gw_policy_seconds", by="policy"), "{{policy}}"),
            ),
            stacked(
                "Refusals by team",
                "reqps",
                "By a policy, a limit, or because the request was wrong.",
                _line(rate("gw_requests_total", refused, by="team"), "{{team}}"),
            ),
            stacked(
                "Limits",
                "reqps",
                "Calls that a rate or concurrency limit refused (429), by whose limit it is.",
                _line(
                    rate("gw_ratelimit_rejections_total", by="policy, scope"),
                    "{{policy}} {{scope}}",
                ),
            ),
            stacked(
                "Redactions",
                "ops",
                "Secrets and personal details that were taken out, by kind.",
                _line(rate("gw_redactions_total", by="kind"), "{{kind}}"),
            ),
            graph(
                "Failed keys",
                "reqps",
                "Requests without a valid key, by what was wrong with it.",
                _line(rate("gw_auth_failures_total", by="reason"), "{{reason}}"),
            ),
            graph(
                "Mean time of all policies",
                "s",
                "Of one decision.",
                _line(mean("gw_policy_seconds", by="policy"), "{{policy}}"),
                width=24,
            ),
        ),
    )
