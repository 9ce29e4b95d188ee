"""GenAI metrics say what the conventions mean by them, in the names that are set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.adapters.genai_meters import GenaiMeters
from gateway.adapters.labels import Labels
from gateway.adapters.meters import Meters
from gateway.domain.call import Call, Outcome, OutcomeKind, Usage
from gateway.domain.metric import Convention
from gateway.domain.metrics import exported
from gateway.domain.pace import Pace
from tests.adapters.metered_calls import COMPLETED, a_call, samples

NAMES = "gen_ai_operation_name=chat,gen_ai_provider_name=openai,gen_ai_request_model=smol"


def told(call: Call, outcome: Outcome, convention: str = "both") -> dict[str, float]:
    meters = Meters(exported(Convention(convention)))
    GenaiMeters(meters, Labels(lambda: ("smol",))).settled(call, outcome, "smol", None)
    return samples(meters.render()[0], "gen_ai")


def paced() -> Pace:
    pace = Pace()
    for now in (0.25, 0.5, 0.6):
        pace.chunk(now)
    return pace


def test_a_stream_has_its_pace() -> None:
    call = a_call()
    call.away.leave(0.125)
    found = told(call, replace(COMPLETED, pace=paced()))
    first = "gen_ai_client_inference_time_to_first_chunk_seconds_sum"
    assert found[f"{first}{{{NAMES}}}"] == 0.125
    chunks = "gen_ai_client_inference_time_per_output_chunk_seconds"
    assert found[f"{chunks}_count{{{NAMES}}}"] == 2
    assert found[f"{chunks}_sum{{{NAMES}}}"] == pytest.approx(0.35)
    each = found[f"gen_ai_server_time_per_output_token_seconds_sum{{{NAMES}}}"]
    assert each == pytest.approx((0.6 - 0.25) / 7)
    whole = [v for n, v in found.items() if n.startswith("gen_ai_client_inference_duration")]
    assert sorted(whole) == [0.625, 1]


@pytest.mark.parametrize("convention", ["latest", "v1_41"])
def test_only_the_names_that_are_set_are_told(convention: str) -> None:
    found = " ".join(told(a_call(), replace(COMPLETED, pace=paced()), convention))
    assert ("gen_ai_client_inference" in found) == (convention == "latest")
    assert ("gen_ai_client_operation" in found) == (convention == "v1_41")
    assert ("gen_ai_client_token_usage" in found) == (convention == "v1_41")
    assert "gen_ai_server_request_duration" in found


def test_thoughts_are_a_part_of_what_was_generated() -> None:
    found = told(a_call(), replace(COMPLETED, usage=Usage(31, 8, 16, reasoning=5)))
    usage = "gen_ai_client_inference_usage"
    of_text = f"{{{NAMES},gen_ai_token_modality=text}}"
    assert found[f"{usage}_reasoning_output_tokens_total{of_text}"] == 5
    assert found[f"{usage}_output_tokens_total{of_text}"] == 8


def test_a_guess_is_no_usage() -> None:
    guess = replace(COMPLETED, kind=OutcomeKind.CANCELLED, usage=Usage(31, 8, estimated=True))
    found = " ".join(told(a_call(), guess))
    assert "tokens" not in found
    assert "token_usage" not in found
    assert "error_type=client_disconnected" in found


def test_a_call_that_no_replica_was_asked_for_is_no_inference() -> None:
    assert told(a_call(stream=False), Outcome(OutcomeKind.REFUSED, 403, seconds=0.1)) == {}


def test_tokens_of_media_are_of_no_known_kind() -> None:
    call = a_call()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    call.body["messages"] = [{"role": "user", "content": [image]}]
    found = told(call, COMPLETED)
    tokens = "gen_ai_client_inference_usage_input_tokens_total"
    assert found[f"{tokens}{{{NAMES},gen_ai_token_modality=unknown}}"] == 31
