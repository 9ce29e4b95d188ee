"""What a replica is asked for: the client's body, the operator's fields, and usage where it can."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from gateway.domain.ports import Replica
from gateway.flow.asking import choices_of, counts, upstream_body, usage_wanted
from gateway.testing.fakes import a_call, a_replica

VLLM = replace(a_replica(), counts=True)


def test_the_operators_parameters_are_defaults_that_a_client_may_override() -> None:
    replica = Replica("r", "m", "up", "http://r.test/v1", params={"temperature": 0.1, "top_k": 4})
    call = a_call()
    call.body["temperature"] = 0.9
    body = orjson.loads(upstream_body(call, replica))
    assert (body["temperature"], body["top_k"], body["model"]) == (0.9, 4, "up")


def test_stream_options_of_the_client_are_kept() -> None:
    call = a_call(stream=True)
    call.body["stream_options"] = {"continuous_usage_stats": True, "other": 1}
    body = orjson.loads(upstream_body(call, a_replica()))
    assert body["stream_options"] == {
        "include_usage": True,
        "continuous_usage_stats": True,
        "other": 1,
    }


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (None, (False, False)),
        ({}, (True, False)),
        ({"include_usage": False}, (False, False)),
        ({"include_usage": None}, (False, False)),
        ({"continuous_usage_stats": True}, (True, True)),
        ({"include_usage": True, "continuous_usage_stats": True}, (True, True)),
        ({"include_usage": False, "continuous_usage_stats": True}, (False, False)),
    ],
)
def test_the_clients_wish_is_read_as_a_vllm_reads_it(
    options: dict[str, object] | None, wanted: tuple[bool, bool]
) -> None:
    call = a_call(stream=True)
    call.body["stream_options"] = options
    assert usage_wanted(call) == wanted
    sent = orjson.loads(upstream_body(call, a_replica()))["stream_options"]
    assert sent["include_usage"]
    assert sent.get("continuous_usage_stats", False) is wanted[1]


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"prompt": "a"}, 1),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": []}, 1),
        ({"n": "many"}, 1),
    ],
)
def test_how_many_answers_a_stream_must_bring(body: dict[str, object], count: int) -> None:
    call = a_call(stream=True)
    call.body |= body
    assert choices_of(call) == count


def test_a_vllm_is_asked_to_count_in_every_chunk_of_a_stream() -> None:
    call = a_call(stream=True)
    assert counts(call, VLLM)
    body = orjson.loads(upstream_body(call, VLLM, count=True))
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}


def test_nobody_else_is_and_no_answer_that_is_one_of_several() -> None:
    several, asked = a_call(stream=True), a_call(stream=True)
    several.body["n"] = 2
    asked.body["stream_options"] = {"continuous_usage_stats": True}  # the client wants to see it
    assert not counts(a_call(stream=True), a_replica())
    assert not counts(a_call(stream=False), VLLM)
    assert not counts(several, VLLM)
    assert not counts(asked, VLLM)
