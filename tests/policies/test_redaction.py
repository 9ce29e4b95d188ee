"""Redaction: what a model reads has no secrets, what it says has none of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gateway import Call, Outcome, Refusal, Tools
from gateway.domain.endpoints import CHAT, COMPLETIONS, Endpoint
from gateway.domain.fixed import Heard
from gateway.domain.policy import Link
from gateway.domain.record import Record
from gateway.domain.sse import DONE, data_of, encode, events
from gateway.flow.guard import Guard
from policies.redaction import REMOVED, Redaction
from tests.domain.secret_samples import KEY_BLOCK, SAMPLES

KEY, OTHER = SAMPLES["aws"], "AKIA" + "JJJJJJJJJJJJJJJJ"
MARK = "SECRET_REMOVED_0001_"


def redaction(**settings: Any) -> Redaction:
    return Redaction(Redaction.Settings.model_validate(settings), Tools.fixed())


def call_of(body: dict[str, Any], endpoint: Endpoint = CHAT) -> Call:
    call = Call("c", endpoint, "m", body, 0.0, 60.0, stream=True)
    call.record = Record(lambda: 0.0)
    return call


def asking(text: str) -> Call:
    return call_of({"messages": [{"role": "user", "content": text}]})


async def stream(deltas: Sequence[dict[str, Any]]) -> AsyncIterator[bytes]:
    for delta in deltas:
        yield event(delta)
    yield event({}, "stop")
    yield DONE


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return encode(json.dumps({"choices": [choice]}).encode())


async def said(policy: Redaction, call: Call, pieces: Sequence[str], field: str = "content") -> str:
    """All that leaves of a stream of these pieces, in `field`."""
    return "".join(
        [
            json.loads(payload)["choices"][0]["delta"].get(field) or ""
            async for chunk in Guard([Link(policy, "r")]).filter(
                call, stream([{field: piece} for piece in pieces]), True
            )
            for each in events(chunk)
            if (payload := data_of(each)) and payload != b"[DONE]"
        ]
    )


async def drained(guard: Guard, pieces: AsyncIterator[bytes], left: list[bytes]) -> None:
    async for chunk in guard.filter(asking("hi"), pieces, True):
        left.append(chunk)


async def test_a_secret_becomes_a_placeholder_the_same_each_time_and_comes_back() -> None:
    policy, call = redaction(), asking(f"a = '{KEY}'; b = '{OTHER}'; c = '{KEY}'")
    await policy.before(call)
    text = call.body["messages"][0]["content"]
    assert text == f"a = '{MARK}'; b = 'SECRET_REMOVED_0002_'; c = '{MARK}'"
    assert await said(policy, call, list(text)) == f"a = '{KEY}'; b = '{OTHER}'; c = '{KEY}'"


async def test_every_text_of_a_request_is_looked_through() -> None:
    body = {
        "messages": [
            {"role": "system", "content": KEY},
            {"role": "user", "content": [{"type": "text", "text": KEY}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": KEY}}]},
            {"role": "tool", "tool_call_id": "1", "content": KEY},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": KEY}}],
        "stop": [KEY],
        "metadata": {"note": KEY},
    }
    call = call_of(body)
    await redaction().before(call)
    assert KEY not in json.dumps(call.body)
    assert json.dumps(call.body).count(MARK) == 7


@pytest.mark.parametrize("name", ["prompt", "suffix"])
async def test_prompts_of_completions_are_texts_too(name: str) -> None:
    call = call_of({name: KEY}, COMPLETIONS)
    await redaction().before(call)
    assert call.body == {name: MARK}


async def test_secrets_in_the_arguments_of_a_tool_are_found_behind_their_escapes() -> None:
    arguments = json.dumps({"key": f"\n{KEY_BLOCK}\n", "mail": "\u00e9 jane@example.com"})
    function = {"name": "f", "arguments": arguments}
    call = call_of({"messages": [{"role": "assistant", "tool_calls": [{"function": function}]}]})
    policy = redaction()
    await policy.before(call)
    sent = function["arguments"]
    assert json.loads(sent)["key"].count("SECRET_REMOVED_") == KEY_BLOCK.count("\n") + 1
    assert await said(policy, call, list(sent), "arguments") == arguments


async def test_what_comes_back_into_json_is_escaped() -> None:
    policy = redaction(patterns={"odd": r'<".+?\\>'})
    call = asking('<"secret"\\>')
    await policy.before(call)
    sent = f'{{"a": "{MARK}"}}'
    assert json.loads(await said(policy, call, list(sent), "arguments")) == {"a": '<"secret"\\>'}
    assert await said(policy, call, [sent]) == '{"a": "<"secret"\\>"}'
    call.body["response_format"] = {"type": "json_object"}
    assert json.loads(await said(policy, call, [sent])) == {"a": '<"secret"\\>'}


async def test_who_writes_what_looks_like_a_placeholder_gets_it_back() -> None:
    policy, call = redaction(), asking(f"{MARK} {KEY}")
    await policy.before(call)
    text = call.body["messages"][0]["content"]
    assert text == f"{MARK} SECRET_REMOVED_X0001_"
    assert await said(policy, call, list(text)) == f"{MARK} {KEY}"


async def test_secrets_of_one_call_are_no_other_calls() -> None:
    policy, mine, yours = redaction(), asking(KEY), asking(OTHER)
    await policy.before(mine)
    await policy.before(yours)
    assert (await said(policy, mine, [MARK]), await said(policy, yours, [MARK])) == (KEY, OTHER)
    await policy.after(mine, Outcome())
    assert await said(policy, mine, [MARK]) == MARK


@pytest.mark.parametrize(
    ("action", "leaves"), [("redact", REMOVED), ("mask", "*" * 20), ("allow", KEY)]
)
async def test_a_secret_of_the_models_own_stays_in(action: str, leaves: str) -> None:
    policy = redaction(answers=action)
    assert await said(policy, asking("hi"), list(f"it is {KEY}.")) == f"it is {leaves}."


async def test_or_ends_the_answer_before_any_of_it_has_left() -> None:
    pieces = stream([{"content": letter} for letter in f"it is {KEY}."])
    left: list[bytes] = []
    with pytest.raises(Refusal) as refusal:
        await drained(Guard([Link(redaction(answers="refuse"), "r")]), pieces, left)
    told = [json.loads(data_of(chunk) or b"") for chunk in left]
    words = "".join(one["choices"][0]["delta"].get("content", "") for one in told)
    assert (words.strip(), refusal.value.code) == ("it is", "answer_withheld")
    assert KEY not in refusal.value.public + refusal.value.detail


async def test_what_the_client_showed_itself_may_be_said() -> None:
    policy, call = redaction(requests="allow"), asking(f"use {KEY}")
    await policy.before(call)
    assert await said(policy, call, list(f"{KEY} not {OTHER}")) == f"{KEY} not {REMOVED}"


async def test_a_masked_request_gets_nothing_back() -> None:
    policy, call = redaction(requests="mask"), asking("to jane@example.com")
    await policy.before(call)
    assert call.body["messages"][0]["content"] == "to ****@*******.***"


async def test_a_request_can_be_refused_and_is_told_only_the_kind() -> None:
    policy, call = redaction(requests="refuse"), asking(f"{KEY} 010-1234-5678")
    with pytest.raises(Refusal, match=r"\(aws, phone\)") as refusal:
        await policy.before(call)
    assert refusal.value.code == "secret_in_request"
    assert KEY not in str(refusal.value)
    assert call.record is not None
    (note,) = call.record.notes
    assert note.facts == {"where": "request", "found": {"aws": 1, "phone": 1}}


async def test_token_ids_are_refused_since_nobody_can_read_them() -> None:
    for prompt in ([1, 2], [[1, 2]]):
        with pytest.raises(Refusal, match="send text instead"):
            await redaction().before(call_of({"prompt": prompt}, COMPLETIONS))


async def test_a_request_too_long_to_be_looked_through_is_refused() -> None:
    with pytest.raises(Refusal, match="at most 10 here"):
        await redaction(max_characters=10).before(asking("x" * 11))


async def test_a_long_request_is_looked_through_all_the_same() -> None:
    call = asking("word " * 50_000 + KEY)
    await redaction().before(call)
    assert call.body["messages"][0]["content"].endswith(f" {MARK}")


async def test_a_secret_longer_than_the_window_refuses_the_answer() -> None:
    policy = redaction(window=64)
    with pytest.raises(Refusal, match="more than 64 characters"):
        await said(policy, asking("hi"), ["sk-", "a" * 70])


async def test_a_plain_answer_is_treated_alike() -> None:
    policy, call = redaction(), asking(KEY)
    await policy.before(call)
    message = {"content": f"{MARK} {OTHER} " + "word " * 6_000, "reasoning_content": MARK}
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()

    async def once() -> AsyncIterator[bytes]:
        yield raw

    chunks = Guard([Link(policy, "r")]).filter(call, once(), False)
    (answer,) = [json.loads(chunk) async for chunk in chunks]
    told = answer["choices"][0]["message"]
    assert told["content"].startswith(f"{KEY} {REMOVED} word")
    assert told["reasoning_content"] == KEY


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"detectors": ["secret"]}, "did you mean 'secrets'"),
        ({"patterns": {"bad": "("}}, "bad: not a regular expression"),
        ({"requests": "allow", "answers": "allow"}, "nothing to do"),
        ({"answers": "delete"}, "redact"),
    ],
)
def test_settings_that_cannot_work_are_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Redaction.Settings.model_validate(written)


async def test_what_is_taken_out_is_told_by_its_kind_as_metrics() -> None:
    heard = Heard()
    tools = replace(Tools.fixed(), meters=heard, name="redaction")
    policy = Redaction(Redaction.Settings(), tools)
    await policy.before(asking(f"a = '{KEY}'; b = '{OTHER}'"))
    assert [(name, count) for name, _, count in heard.redactions] == [("redaction", 2)]
