"""The metrics of prompts and what goes into them: rows of the table in metrics.py."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric

PROMPT_RENDER = Metric(
    "gw_prompt_render_seconds",
    Kind.HISTOGRAM,
    "seconds",
    "Time to render a prompt, and to count its tokens, until it fits the window.",
    ("prompt",),
    (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
PROMPT_ERRORS = Metric(
    "gw_prompt_errors_total",
    Kind.COUNTER,
    "requests",
    "Calls for which no prompt could be made: what was asked for does not fit the window, may not "
    "be shown, or the file is at fault.",
    ("prompt", "reason"),
)
CONTEXT_TOKENS = Metric(
    "gw_context_tokens",
    Kind.HISTOGRAM,
    "tokens",
    "Tokens of a rendered prompt with all that went into it.",
    ("prompt",),
    (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072),
)
CONTEXT_TRUNCATED = Metric(
    "gw_context_truncated_total",
    Kind.COUNTER,
    "requests",
    "Calls of which something was cut or left out of the prompt for want of room.",
    ("prompt",),
)
REWRITE_DIFF = Metric(
    "gw_rewrite_diff_total",
    Kind.COUNTER,
    "answers",
    "Rewrites by what became of the answer: applies (a diff that git takes), empty (nothing was to "
    "be changed), malformed (no diff could be made of it).",
    ("prompt_text", "result"),
)

PROMPT_METRICS = (PROMPT_RENDER, PROMPT_ERRORS, CONTEXT_TOKENS, CONTEXT_TRUNCATED, REWRITE_DIFF)
