"""Answers on their way through policies: nothing denied leaves, and nothing else is disturbed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import Refusal, StreamTruncated
from gateway.domain.policy import Delta, Link, Policy, PolicyFailed, Tools, Verdict, When
from gateway.domain.sse import DONE, data_of, encode, events
from gateway.flow.guard import Guard

SECRET = "s3cr3t-k3y"


class Deny(Policy):
    """Refuses SECRET; holds back what its window says."""

    window = len(SECRET) - 1

    async def during(self, call: Call, delta: Delta) -> Delta:
        if SECRET in delta.text:
            raise Refusal("withheld")
        return delta


class Redact(Policy):
    window = len(SECRET) - 1

    async def during(self, call: Call, delta: Delta) -> Delta:
        return replace(delta, text=delta.text.replace(SECRET, "[gone]"))


class Seen(Policy):
    """Writes down every delta that it is shown."""

    def __init__(self, hold: int | None = None) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self.deltas: list[Delta] = []
        self.hold = hold

    async def during(self, call: Call, delta: Delta) -> Delta:
        self.deltas.append(delta)
        return replace(delta, hold=self.hold)


class Crashing(Policy):
    """Lets one delta pass, holding it back, and breaks on the next."""

    window = 100

    def __init__(self) -> None:
        super().__init__(Policy.Settings(), Tools.fixed())
        self.count = 0

    async def during(self, call: Call, delta: Delta) -> Delta:
        self.count += 1
        if self.count > 1:
            raise ValueError
        return delta


class Rubbish(Policy):
    async def during(self, call: Call, delta: Delta) -> Delta:
        return None  # type: ignore[return-value]


def built(kind: type[Policy]) -> Policy:
    return kind(Policy.Settings(), Tools.fixed())


def link(policy: Policy, **changes: Any) -> Link:
    return Link(policy, type(policy).__name__.lower(), **changes)


def a_call(stream: bool = True) -> Call:
    return Call("c1", CHAT, "m", {}, 0.0, 60.0, stream=stream)


def event(**choice: Any) -> bytes:
    finish = choice.pop("finish_reason", None)
    whole = {"index": choice.pop("index", 0), **choice, "finish_reason": finish}
    return encode(json.dumps({"id": "x", "model": "m", "choices": [whole]}).encode())


def says(text: str, field: str = "content", **choice: Any) -> bytes:
    return event(delta={field: text}, **choice)


def argues(text: str, tool: int = 0) -> bytes:
    return event(delta={"tool_calls": [{"index": tool, "function": {"arguments": text}}]})


END = event(delta={}, finish_reason="stop")


async def passed(chunks: Sequence[bytes], *links: Link, stream: bool = True) -> bytes:
    """What leaves the guard; a Refusal ends it, and what left before counts as left."""
    out = []
    with suppress(Refusal):
        async for chunk in Guard(links).filter(a_call(stream), supply(chunks), stream):
            out.append(chunk)
    return b"".join(out)


async def supply(chunks: Sequence[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def deltas(out: bytes) -> list[dict[str, Any]]:
    payloads = [data_of(each) for each in events(out)]
    parsed = [json.loads(each) for each in payloads if each and each != b"[DONE]"]
    return [choice for each in parsed for choice in each["choices"]]


def text_of(out: bytes, field: str = "content", index: int = 0) -> str:
    chosen = [choice["delta"] for choice in deltas(out) if choice["index"] == index]
    return "".join(delta.get(field) or "" for delta in chosen)


def arguments_of(out: bytes, tool: int = 0) -> str:
    calls = [call for choice in deltas(out) for call in choice["delta"].get("tool_calls", ())]
    return "".join(call["function"]["arguments"] for call in calls if call["index"] == tool)


# --- nothing of a match leaves


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
@pytest.mark.parametrize("wrap", [says, argues])
async def test_a_secret_cut_in_two_anywhere_never_leaks_a_byte_of_it(cut: int, wrap: Any) -> None:
    chunks = [wrap("ok "), wrap(SECRET[:cut]), wrap(SECRET[cut:]), wrap(" more"), END, DONE]
    out = await passed(chunks, link(built(Deny)))
    assert text_of(out) + arguments_of(out) in ("", "o", "ok", "ok ")
    assert not any(part in out for part in (b"s3c", b"k3y", b"more", b"[DONE]", b'"stop"'))


@settings(deadline=None)
@given(before=st.text("abs3 ", max_size=12), after=st.text("abs3 ", max_size=12), cuts=st.data())
def test_a_secret_cut_into_any_pieces_never_leaks_a_byte_of_it(
    before: str, after: str, cuts: st.DataObject
) -> None:
    pieces = cut_up(before + SECRET + after, cuts)
    chunks = regroup([*map(says, pieces), END, DONE], cuts)
    left = text_of(asyncio.run(passed(chunks, link(built(Deny)))))
    assert before.startswith(left)


@settings(deadline=None)
@given(
    text=st.text(max_size=40), cuts=st.data(), window=st.integers(0, 50), hold=st.integers(-1, 50)
)
def test_what_no_policy_objects_to_comes_out_as_it_went_in(
    text: str, cuts: st.DataObject, window: int, hold: int
) -> None:
    denying, holding = built(Deny), Seen(hold)
    denying.window = window
    chunks = regroup([*map(says, cut_up(text, cuts)), END, DONE], cuts)
    out = asyncio.run(passed(chunks, link(denying), link(holding), link(Seen())))
    assert text_of(out) == text
    assert out.endswith(END + DONE)


@settings(deadline=None)
@given(before=st.text("abs3 ", max_size=9), after=st.text("abs3 ", max_size=9), cuts=st.data())
def test_an_edit_finds_a_text_however_it_is_cut(
    before: str, after: str, cuts: st.DataObject
) -> None:
    chunks = [*map(says, cut_up(before + SECRET + after, cuts)), END, DONE]
    out = asyncio.run(passed(chunks, link(built(Redact))))
    assert text_of(out) == f"{before}[gone]{after}"


def cut_up(text: str, cuts: st.DataObject) -> list[str]:
    places = sorted(cuts.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    return [text[start:end] for start, end in pairwise(places)] or [text]


def regroup(parts: list[bytes], cuts: st.DataObject) -> list[bytes]:
    """The same events, several to a chunk."""
    places = sorted(cuts.draw(st.sets(st.integers(1, len(parts)))) | {0, len(parts)})
    return [b"".join(parts[start:end]) for start, end in pairwise(places)]


async def test_the_second_policy_never_sees_what_the_first_redacted() -> None:
    seen = Seen()
    await passed([says("a s3cr3t"), says("-k3y b"), END, DONE], link(built(Redact)), link(seen))
    assert "".join(delta.text for delta in seen.deltas) == "a [gone] b"


async def test_choices_and_fields_are_held_apart_and_all_arrive() -> None:
    chunks = [
        says("thinking", "reasoning_content"),
        says("one ", index=0),
        says("two", index=1),
        argues('{"a":'),
        argues("[]", tool=1),
        argues("1}"),
        event(index=1, delta={}, finish_reason="length"),
        says("more", index=0),
        END,
        DONE,
    ]
    out = await passed(chunks, link(built(Deny)))
    assert text_of(out, "reasoning_content") == "thinking"
    assert text_of(out) == "one more"
    assert text_of(out, index=1) == "two"
    assert (arguments_of(out), arguments_of(out, tool=1)) == ('{"a":1}', "[]")
    finishes = [(each["index"], each["finish_reason"]) for each in deltas(out)]
    assert finishes[-1] == (0, "stop")
    assert not any(index == 1 for index, _ in finishes[finishes.index((1, "length")) + 1 :])


async def test_a_secret_in_a_tools_name_is_found() -> None:
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": SECRET}}
    assert await passed([event(delta={"tool_calls": [call]}), END, DONE], link(built(Deny))) == b""


async def test_a_tools_name_is_not_kept_waiting() -> None:
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "look"}}
    first = event(delta={"tool_calls": [call]})
    assert (await passed([first, END, DONE], link(built(Deny)))).startswith(first)


async def test_log_probabilities_do_not_tell_what_is_held_back() -> None:
    tokens = {"content": [{"token": "s3c"}]}
    chunks = [says("s3c", logprobs=tokens), says("r3t-k3y"), END, DONE]
    assert b"s3c" not in await passed(chunks, link(built(Deny)))


async def test_text_after_the_end_of_its_choice_does_not_leave() -> None:
    # A server that says "stop" on every event would otherwise have each of them cleared alone.
    chunks = [says("s3cr3t", finish_reason="stop"), says("-k3y", finish_reason="stop"), DONE]
    with pytest.raises(PolicyFailed, match="after the end"):
        await passed(chunks, link(built(Deny)))


@pytest.mark.parametrize(
    "payload", [b"s3cr3t", b'{"text":"s3cr3t"}', b'{"choices":["s3cr3t"]}', b'["s3cr3t"]']
)
async def test_what_no_policy_could_read_does_not_leave(payload: bytes) -> None:
    for stream, chunk in ((True, encode(payload)), (False, payload)):
        with pytest.raises(PolicyFailed, match="cannot read"):
            await passed([chunk], link(built(Deny)), stream=stream)
        for lenient in ({"on_error": "skip"}, {"mode": "shadow"}):
            out = await passed([chunk], link(built(Deny), **lenient), stream=stream)
            assert out == chunk


async def test_held_text_is_not_sent_when_the_stream_breaks() -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield says("fine, s3cr3t-k")
        raise StreamTruncated

    screened = Guard([link(built(Deny))]).filter(a_call(), breaks(), True)
    assert text_of(await anext(screened)) == "fine,"
    with pytest.raises(StreamTruncated):
        await anext(screened)


# --- what a policy is shown


async def test_held_text_comes_again_with_the_next_and_what_has_left_stands_before_it() -> None:
    seen = Seen(hold=2)
    out = await passed([says("abcd"), says("ef"), END, DONE], link(seen))
    assert seen.deltas == [
        Delta("abcd"),
        Delta("cdef", before="ab"),
        Delta("ef", before="abcd", final=True),
    ]
    assert [choice["delta"] for choice in deltas(out)] == [
        {"content": "ab"},
        {"content": "cd"},
        {"content": "ef"},
        {},
    ]


async def test_what_stands_before_is_at_most_64_characters() -> None:
    seen = Seen()
    await passed([says("a" * 100), says("b"), END, DONE], link(seen))
    assert [delta.before for delta in seen.deltas] == ["", "a" * 64, "a" * 63 + "b"]


async def test_the_policys_window_holds_where_the_delta_names_no_other() -> None:
    seen = Seen()
    seen.window = 3
    out = await passed([says("abcde"), END, DONE], link(seen))
    assert [choice["delta"].get("content") for choice in deltas(out)] == ["ab", "cde", None]


async def test_text_that_comes_with_its_finish_is_final_and_leaves_with_it() -> None:
    seen = Seen(hold=9)
    out = await passed([says("ab"), says("c", finish_reason="stop"), DONE], link(seen))
    assert [(delta.text, delta.final) for delta in seen.deltas] == [("ab", False), ("abc", True)]
    assert [choice["delta"] for choice in deltas(out)] == [{"content": ""}, {"content": "abc"}]


async def test_a_stream_that_ends_without_a_finish_still_gives_what_it_held() -> None:
    for chunks in ([says("abc"), DONE], [says("abc")]):
        assert text_of(await passed(chunks, link(Seen(hold=9)))) == "abc"


async def test_events_without_changed_text_are_the_same_bytes() -> None:
    odd = b'data: {"choices": [ {"delta" : {"role":"assistant", "content":""}} ]}\r\n\r\n'
    usage = encode(b'{"choices":[],"usage":{"prompt_tokens":1}}')
    chunks = [b": keep-alive\n\n", odd, says("abc"), END, usage, DONE]
    assert await passed(chunks, link(Seen())) == b"".join(chunks)


# --- a plain answer


def a_body(*contents: str) -> bytes:
    choices = [{"index": i, "message": {"content": text}} for i, text in enumerate(contents)]
    return json.dumps({"choices": choices}, indent=1).encode()


async def test_a_plain_answer_passes_whole_and_untouched() -> None:
    seen, raw = Seen(hold=5), a_body("one", "two")
    assert await passed([raw[:9], raw[9:]], link(seen), stream=False) == raw
    assert seen.deltas == [Delta("one", 0, True), Delta("two", 1, True)]


async def test_a_plain_answer_with_a_denied_text_does_not_leave_at_all() -> None:
    assert await passed([a_body("fine", f"a {SECRET}")], link(built(Deny)), stream=False) == b""


async def test_a_plain_answer_is_edited_and_loses_what_repeats_the_text() -> None:
    raw = b'{"choices":[{"text":"s3cr3t-k3y","logprobs":{"tokens":["s3cr3t"]}}]}'
    out = await passed([raw], link(built(Redact)), stream=False)
    assert json.loads(out) == {"choices": [{"text": "[gone]", "logprobs": None}]}


# --- failure, shadow, verdicts


async def test_a_crash_ends_the_stream_with_a_503() -> None:
    with pytest.raises(PolicyFailed, match=r"ValueError at test_screen\.py"):
        await passed([says("a"), says("b"), END, DONE], link(Crashing()))


async def test_rubbish_from_a_policy_is_a_failure() -> None:
    with pytest.raises(PolicyFailed, match="must return a Delta"):
        await passed([says("a"), END, DONE], link(built(Rubbish)))


async def test_a_skipped_policy_that_breaks_gives_back_what_it_held_and_is_asked_no_more() -> None:
    crashing = Crashing()
    chunks = [says("a"), says("b"), says("c"), END, DONE]
    out = await passed(chunks, link(crashing, on_error="skip"))
    assert text_of(out) == "abc"
    assert crashing.count == 2


async def test_a_shadow_changes_no_byte_whatever_it_says() -> None:
    chunks = [says("a s3cr3t", logprobs={"content": []}), says("-k3y b"), END, DONE]
    for policy in (built(Deny), built(Redact), Crashing(), built(Rubbish)):
        assert await passed(chunks, link(policy, mode="shadow")) == b"".join(chunks)


async def verdicts(chunks: Sequence[bytes], *links: Link) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []

    def hear(call: Call, policy: str, verdict: Verdict, seconds: float) -> None:
        told.append((policy, verdict.value))

    with suppress(Refusal, PolicyFailed):
        async for _ in Guard(links, on_verdict=hear).filter(a_call(), supply(chunks), True):
            pass
    return told


async def test_each_policy_has_one_verdict_on_a_whole_answer() -> None:
    good, bad = [says("a"), says("b"), END, DONE], [says("a"), says(SECRET), says("b"), END, DONE]
    assert await verdicts(good, link(built(Deny)), link(Seen())) == [
        ("deny", "allowed"),
        ("seen", "allowed"),
    ]
    assert await verdicts(bad, link(built(Deny))) == [("deny", "refused")]
    assert await verdicts(bad, link(built(Deny), mode="shadow")) == [("deny", "would_refuse")]
    assert await verdicts(good, link(Crashing())) == [("crashing", "failed")]
    assert await verdicts(good, link(Crashing(), on_error="skip")) == [("crashing", "skipped")]


async def test_a_policy_for_other_models_is_not_asked() -> None:
    seen = Seen()
    chunks = [says("a"), END, DONE]
    await passed(chunks, link(seen, when=When(models=("other",))), link(Seen()))
    assert seen.deltas == []
