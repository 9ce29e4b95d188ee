"""The schema policy: what a request must have and how much it may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway import Call, Refusal, Tools
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint
from policies.schema import Schema


def schema(**settings: Any) -> Schema:
    return Schema(Schema.Settings.model_validate(settings), Tools.fixed())


def a_call(endpoint: Endpoint = CHAT, /, **body: Any) -> Call:
    return Call("c", endpoint, "m", body, 0.0, 60.0)


def says(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


async def refused(policy: Schema, call: Call) -> str:
    with pytest.raises(Refusal) as refusal:
        await policy.before(call)
    assert refusal.value.status == 400
    return refusal.value.public


async def test_a_field_that_is_required_must_be_there() -> None:
    policy = schema(required=["user"])
    await policy.before(a_call(user="me"))
    assert "'user' is missing" in await refused(policy, a_call(user=None))


async def test_messages_and_the_texts_of_a_batch_are_counted() -> None:
    policy = schema(max_messages=2)
    await policy.before(a_call(messages=[says("a"), says("b")]))
    await policy.before(a_call(COMPLETIONS, prompt="one text"))
    await policy.before(a_call(COMPLETIONS, prompt=[1, 2, 3]))
    await policy.before(a_call(EMBEDDINGS, input=[[1, 2, 3], [4]]))
    said = await refused(policy, a_call(messages=[says("a")] * 3))
    assert said == "The parts of 'messages': 3; at most 2 here."
    await refused(policy, a_call(COMPLETIONS, prompt=["a", "b", "c"]))
    await refused(policy, a_call(EMBEDDINGS, input=[[1], [2], [3]]))


async def test_characters_are_counted_wherever_they_stand() -> None:
    policy = schema(max_characters=20)
    await policy.before(a_call(messages=[{"content": "x" * 20}]))
    await refused(policy, a_call(messages=[{"content": "x" * 21}]))
    await refused(policy, a_call(messages=[{"content": [{"text": "x" * 10}] * 3}]))
    await refused(policy, a_call(messages=[], tools=[{"description": "x" * 21}]))
    await refused(policy, a_call(COMPLETIONS, prompt=list(range(21))))


@pytest.mark.parametrize("name", ["n", "best_of"])
async def test_choices_are_bounded_under_every_name(name: str) -> None:
    policy = schema(max_choices=4)
    await policy.before(a_call(CHAT, **{name: 4}))
    await policy.before(a_call(CHAT, **{name: None}))
    assert await refused(policy, a_call(CHAT, **{name: 5})) == f"'{name}': 5; at most 4 here."


@pytest.mark.parametrize("value", ["5", 5.0, True, [5]])
async def test_a_number_in_another_guise_does_not_slip_by(value: object) -> None:
    assert "must be a whole number" in await refused(schema(max_choices=4), a_call(n=value))
    assert "must be a whole number" in await refused(schema(max_tokens=4), a_call(max_tokens=value))


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_the_length_of_an_answer_is_bounded_under_both_names(name: str) -> None:
    call = a_call(CHAT, **{name: 100})
    await schema(max_tokens=100).before(call)
    assert call.body == {name: 100}
    await refused(schema(max_tokens=99), a_call(CHAT, **{name: 100}))


async def test_a_request_that_names_no_limit_is_given_one() -> None:
    call = a_call(messages=[])
    await schema(max_tokens=100).before(call)
    assert call.body["max_tokens"] == 100


@pytest.mark.parametrize("name", ["n_predict", "min_tokens"])
async def test_a_limit_that_not_every_engine_knows_is_none(name: str) -> None:
    call = a_call(CHAT, **{name: 5})
    await schema(max_tokens=100).before(call)
    assert call.body == {name: 5, "max_tokens": 100}
    await refused(schema(max_tokens=99), a_call(CHAT, **{name: 100, "max_tokens": 1}))


async def test_completions_know_one_limit_alone() -> None:
    call = a_call(COMPLETIONS, prompt="x", max_completion_tokens=5)
    await schema(max_tokens=100).before(call)
    assert call.body["max_tokens"] == 100


async def test_a_call_without_a_written_answer_is_given_no_limit() -> None:
    call = a_call(EMBEDDINGS, input="x")
    await schema(max_tokens=100).before(call)
    assert call.body == {"input": "x"}


@pytest.mark.parametrize("settings", [{}, {"max_tokens": 0}, {"max_mesages": 1}])
def test_settings_that_bound_nothing_are_a_mistake(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        schema(**settings)
