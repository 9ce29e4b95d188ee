"""What happens to a call is counted once, under bounded names."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.call import Outcome, OutcomeKind, Usage
from gateway.domain.pace import Pace
from gateway.domain.step import Step
from tests.adapters.metered_calls import COMPLETED, Told, a_call


def test_what_calls_cost_is_told_in_units_by_team_and_model() -> None:
    told = Told()
    told.calls.cost(a_call(model="smol"), 250_000)
    told.calls.cost(a_call(model="smol"), 500_000)
    told.calls.cost(a_call(model="made-up"), 1)
    told.calls.cost(a_call(model="smol"), 0)
    shown = told.samples("gw_cost_total")
    assert [shown[name] for name in sorted(shown)] == [1e-06, 0.75]
    assert "model=other" in min(shown)


def test_what_was_generated_for_nothing_is_told_and_a_guess_apart() -> None:
    told = Told()
    for kind in (OutcomeKind.CANCELLED, OutcomeKind.TIMEOUT, OutcomeKind.TRUNCATED):
        call = a_call()
        told.calls.settled(call, replace(COMPLETED, kind=kind), told.calls.began(call))
    call, guess = a_call(), Usage(20, 3, estimated=True)
    cut = replace(COMPLETED, kind=OutcomeKind.CANCELLED, usage=guess)
    told.calls.settled(call, cut, told.calls.began(call))
    assert told.samples("gw_wasted") == {
        "gw_wasted_output_tokens_total{reason=cancel}": 11,
        "gw_wasted_output_tokens_total{reason=timeout}": 8,
        "gw_wasted_output_tokens_total{reason=error}": 8,
    }
    assert told.samples("gw_usage_estimated") == {
        "gw_usage_estimated_total{model=smol}": 1,
        "gw_usage_estimated_tokens_total{model=smol,token_type=input}": 20,
        "gw_usage_estimated_tokens_total{model=smol,token_type=output}": 3,
    }


def test_who_was_not_let_in_is_counted_by_the_reason() -> None:
    told = Told()
    for code, status in (("invalid_api_key", 401), ("role_required", 403), ("model", 403)):
        call = a_call()
        ended = Outcome(OutcomeKind.REFUSED, status, code=code)
        told.calls.settled(call, ended, told.calls.began(call))
    assert told.samples("gw_auth") == {
        "gw_auth_failures_total{reason=invalid_api_key}": 1,
        "gw_auth_failures_total{reason=role_required}": 1,
    }
    assert sum(told.samples("gw_responses_total").values()) == 3


def test_our_own_part_and_the_longest_gap_are_told_where_there_are_some() -> None:
    told, pace = Told(), Pace()
    for now in (1.0, 1.5, 1.75):
        pace.chunk(now)
    call = a_call()
    own = replace(COMPLETED, own_seconds=0.002, pace=pace)
    told.calls.settled(call, own, told.calls.began(call))
    told.calls.settled(call, COMPLETED, told.calls.began(call))
    assert told.samples("gw_overhead_seconds") == {
        "gw_overhead_seconds_count{route=/v1/chat/completions}": 1,
        "gw_overhead_seconds_sum{route=/v1/chat/completions}": 0.002,
    }
    assert told.samples("gw_stream_max_gap")["gw_stream_max_gap_seconds_sum{model=smol}"] == 0.5


def test_prompts_are_told_by_what_became_of_their_steps() -> None:
    told, call = Told(), a_call()
    name = {"gen_ai.prompt.name": "code/explain"}
    tokens = {"gw.context.tokens": 900, "gw.context.cut": 2, "gw.context.exact": True}
    call.stepped(Step("context.build", 0.0, 1.0, {**name, "gw.redacted.aws_key": 2}))
    call.stepped(Step("render_prompt code/explain", 1.0, 1.25, name | tokens))
    call.stepped(Step("queue.wait", 1.25, 2.0))
    told.calls.settled(call, COMPLETED, told.calls.began(call))
    refused = a_call()
    refused.stepped(Step("context.build", 0.0, 1.0, name, "context_too_large"))
    told.calls.settled(refused, Outcome(OutcomeKind.REFUSED, 413), told.calls.began(refused))
    prompt = "prompt=code/explain"
    assert told.samples("gw_prompt_render") == {
        f"gw_prompt_render_seconds_count{{{prompt}}}": 1,
        f"gw_prompt_render_seconds_sum{{{prompt}}}": 0.25,
    }
    assert told.samples("gw_prompt_errors") == {
        f"gw_prompt_errors_total{{{prompt},reason=context_too_large}}": 1
    }
    assert told.samples("gw_context") == {
        f"gw_context_tokens_count{{{prompt}}}": 1,
        f"gw_context_tokens_sum{{{prompt}}}": 900,
        f"gw_context_truncated_total{{{prompt}}}": 1,
    }
    assert told.samples("gw_redactions") == {"gw_redactions_total{kind=aws_key,policy=assist}": 2}
