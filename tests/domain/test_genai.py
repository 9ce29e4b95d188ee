"""Calls and outcomes get OpenTelemetry's names, and nothing that nobody knows."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import genai
from gateway.domain.call import Attempt, Call, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.endpoints import CHAT


def a_call(stream: bool = False, **body: Any) -> Call:
    return Call("r1", CHAT, "smol", body, received=0.0, deadline=60.0, stream=stream)


def test_a_request_is_described_by_its_numbers() -> None:
    call = a_call(stream=True, max_tokens=64, temperature=1, top_p=0.5, seed=7, n=2)
    assert genai.span_name(call) == "chat smol"
    assert genai.request_attributes(call) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "smol",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_p": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.request.choice.count": 2,
    }


def test_no_text_of_a_body_becomes_an_attribute() -> None:
    call = a_call(messages=[{"role": "user", "content": "hush"}], stop=["hush"], user="hush")
    assert "hush" not in str(genai.request_attributes(call))


@pytest.mark.parametrize("value", [True, "64", None, 2**63, -(2**63) - 1, 10**400, [1], 1.5])
def test_a_number_that_no_exporter_can_carry_is_left_out(value: object) -> None:
    found = genai.request_attributes(a_call(max_tokens=value, seed=value, n=value))
    assert not {key for key in found if key.endswith(("max_tokens", "seed", "count"))}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, False, "hot"])
def test_a_temperature_that_is_no_number_is_left_out(value: object) -> None:
    assert "gen_ai.request.temperature" not in genai.request_attributes(a_call(temperature=value))


def test_a_prompt_is_named_with_its_version() -> None:
    call = a_call()
    call.prompt = PromptRef("code/explain", "3", "abc")
    found = genai.request_attributes(call)
    assert found["gen_ai.prompt.name"] == "code/explain"
    assert found["gen_ai.prompt.version"] == "3"


def test_a_text_is_short_and_fits_into_utf8() -> None:
    assert len(genai.short("x" * 10_000)) == 256
    assert genai.short("a\ud800b") == "a?b"


def test_a_completed_call_has_its_tokens_and_its_finish_reason() -> None:
    outcome = Outcome(
        OutcomeKind.COMPLETED,
        200,
        usage=Usage(31, 8, 16),
        served_model="org/smol",
        finish_reason="length",
        first_token_seconds=0.25,
    )
    assert genai.outcome_attributes(outcome, stream=True) == {
        "gen_ai.usage.input_tokens": 31,
        "gen_ai.usage.output_tokens": 8,
        "gen_ai.usage.cache_read.input_tokens": 16,
        "gen_ai.response.model": "org/smol",
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.response.time_to_first_chunk": 0.25,
    }


def test_tokens_that_nobody_counted_are_not_told() -> None:
    found = genai.outcome_attributes(Outcome(OutcomeKind.COMPLETED, 200), stream=False)
    assert found == {}


def test_an_answer_in_one_piece_has_no_first_chunk() -> None:
    outcome = Outcome(OutcomeKind.COMPLETED, 200, first_token_seconds=0.25)
    assert genai.outcome_attributes(outcome, stream=False) == {}


@pytest.mark.parametrize("kind", [k for k in OutcomeKind if k is not OutcomeKind.COMPLETED])
def test_a_call_that_did_not_complete_never_says_stop(kind: OutcomeKind) -> None:
    outcome = Outcome(kind, 499, finish_reason="stop")
    found = genai.outcome_attributes(outcome, stream=False)
    assert found["gen_ai.response.finish_reasons"] == ["error"]


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome(OutcomeKind.COMPLETED, 200), None),
        (Outcome(OutcomeKind.CANCELLED, 499), "client_disconnected"),
        (Outcome(OutcomeKind.TIMEOUT, 504), "timeout"),
        (Outcome(OutcomeKind.TRUNCATED, 502), "truncated"),
        (Outcome(OutcomeKind.FAILED, 503, attempts=(Attempt("a", "timeout", 1),)), "timeout"),
        (Outcome(OutcomeKind.FAILED, 503), "503"),
        (Outcome(OutcomeKind.REFUSED, 403, attempts=(Attempt("a", "ok", 1),)), "403"),
    ],
)
def test_an_error_has_a_type_of_few_values(outcome: Outcome, expected: str | None) -> None:
    assert genai.error_type(outcome) == expected
