"""The output guard: nothing of a match leaves, and nothing else is kept waiting."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import Call, Delta, Refusal, Tools
from gateway.domain.endpoints import CHAT
from gateway.domain.policy import Link, PolicyFailed
from gateway.domain.sse import DONE, data_of, encode, events
from gateway.flow.guard import Guard
from policies.guard_output import GuardOutput

CALL = Call("c", CHAT, "m", {}, 0.0, 60.0, stream=True)


def guard_output(*patterns: str, window: int = 64) -> GuardOutput:
    named = {f"p{number}": pattern for number, pattern in enumerate(patterns)}
    return GuardOutput(GuardOutput.Settings(patterns=named, window=window), Tools.fixed())


async def stream(pieces: Sequence[str]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield event({"content": piece})
    yield event({}, "stop")
    yield DONE


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return encode(json.dumps({"choices": [choice]}).encode())


async def left(policy: GuardOutput, pieces: Sequence[str]) -> tuple[list[str], Refusal | None]:
    """The texts that leave, one for each event, and what ended them."""
    said: list[str] = []
    try:
        async for chunk in Guard([Link(policy, "g")]).filter(CALL, stream(pieces), True):
            for each in events(chunk):
                payload = data_of(each)
                if payload and payload != b"[DONE]":
                    said.append(json.loads(payload)["choices"][0]["delta"].get("content") or "")
    except Refusal as refusal:
        return said, refusal
    return said, None


# Patterns that are hard for a guard: unbounded, alternatives one inside the other, and such as ask
# at the end of the text for what only the next character can tell.
PATTERNS = [
    "abc",
    "a+b",
    "ab*c",
    "abcabd|bc",
    "aab|ba$",
    r"\babc\b",
    "ab(?=cc)",
    "(?<=c)ab",
    "(?<!c)aab",
    "(?i)Abc",
    "a.*c",
    "^ab",
    "(a|b)c(a|b)",
    r" \bab",
    r"a\Bb\Bc",
    r"b \bc\b a",
    r"a\b ?b|cb",
    r"a(?!\b)b",
    "ab(?!$)",
    "(?<!b)a(?!b)c",
    "(?s)a.*?b.*c",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(deadline=None)
@given(pieces=st.lists(st.text("abc ", max_size=4), max_size=8))
def test_nothing_of_a_match_leaves_however_it_is_cut(pattern: str, pieces: list[str]) -> None:
    text = "".join(pieces)
    said, refusal = asyncio.run(left(guard_output(pattern), pieces))
    match = re.search(pattern, text)
    if match is None:
        assert (refusal, "".join(said)) == (None, text)
    else:
        assert refusal is not None
        assert match.start() >= len("".join(said))
        assert text.startswith("".join(said))


async def test_text_that_cannot_become_a_match_is_not_kept_waiting() -> None:
    pieces = ["The ", "quick ", "brown ", "fox "]
    said, refusal = await left(guard_output("AKIA[0-9A-Z]{16}"), pieces)
    assert (said, refusal) == ([*pieces, ""], None)


async def test_only_the_start_of_a_possible_match_waits_and_goes_on_when_it_is_none() -> None:
    said, refusal = await left(guard_output("secret"), ["a se", "cond"])
    assert (said, refusal) == (["a ", "second", ""], None)


async def test_a_word_that_only_begins_like_a_denied_one_passes() -> None:
    said, refusal = await left(guard_output(r"\bcat\b"), ["a cat", "alogue, con", "cat", "enate"])
    assert ("".join(said), refusal) == ("a catalogue, concatenate", None)


async def test_a_match_that_grows_past_the_window_counts_as_found() -> None:
    said, refusal = await left(guard_output("BEGIN.*END", window=10), ["ok BEGIN ", "a" * 9, "b"])
    assert ("".join(said), refusal and refusal.code) == ("ok ", "answer_withheld")


async def test_a_refusal_tells_the_client_nothing_and_the_log_the_patterns_name() -> None:
    policy = guard_output("never", "secret")
    with pytest.raises(Refusal) as refusal:
        await policy.during(CALL, Delta("a secret", final=True))
    assert refusal.value.status == 403
    assert "secret" not in refusal.value.public
    assert refusal.value.detail == "guard_output: pattern 'p1' in content"


async def test_a_pattern_that_takes_for_ever_is_stopped_and_lets_nothing_out() -> None:
    with pytest.raises(PolicyFailed, match="TimeoutError"):
        await left(guard_output(r"(a|aa)+[bc]\d"), ["a" * 60 + " "])


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"patterns": {}}, "at least 1 item"),
        ({"patterns": {"bad": "(" * 3}}, "bad: not a regular expression"),
        ({"patterns": {"back": "(?r)ab"}}, "back: (?r) cannot be searched for"),
        ({"patterns": {"any": "a*"}}, "any: matches where there is nothing"),
        ({"patterns": {"a": "a"}, "window": 0}, "greater than or equal to 1"),
    ],
)
def test_patterns_that_cannot_work_are_refused(written: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(says)):
        GuardOutput.Settings.model_validate(written)


async def test_a_character_of_which_each_half_is_a_delta_is_one() -> None:
    halves = ["a \ud83d", "\udd11b", "c"]
    said, refusal = await left(guard_output("\U0001f511b"), halves)
    assert ("".join(said), refusal is None) == ("a ", False)
    said, refusal = await left(guard_output("secret"), halves)
    assert ("".join(said), refusal) == ("a \U0001f511bc", None)


async def test_half_a_character_at_the_very_end_leaves_as_it_came() -> None:
    said, refusal = await left(guard_output("secret"), ["a \ud83d"])
    assert ("".join(said), refusal) == ("a \ud83d", None)


async def tools(pieces: Sequence[str]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
    yield event({}, "tool_calls")


@pytest.mark.parametrize("written", [r"\u0073ecret", "secret", r"s\u0065cret", r"secre\u0074"])
@pytest.mark.parametrize("size", [1, 3, 100])
async def test_in_the_arguments_of_tools_escapes_hide_nothing(written: str, size: int) -> None:
    text = '{"a": "' + written + '", "b": 1}'
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    passed: list[bytes] = []
    with pytest.raises(Refusal):
        await drained(
            Guard([Link(guard_output("secret"), "g")]).filter(CALL, tools(pieces), True), passed
        )
    told = b"".join(passed)
    assert b"ecre" not in told
    assert b"u0073" not in told


async def drained(chunks: AsyncIterator[bytes], passed: list[bytes]) -> None:
    async for chunk in chunks:
        passed.append(chunk)
