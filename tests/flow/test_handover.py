"""Going on with a broken stream: who is asked, for what, and what becomes of it otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.domain.call import Attempt, Call, Usage
from gateway.domain.endpoints import COMPLETIONS
from gateway.domain.errors import GatewayError, LLMTimeoutError, StreamTruncated
from gateway.domain.limits import Timeouts
from gateway.domain.policy import Delta, Link, Policy, Tools
from gateway.domain.ports import Counted, Replica, WireError
from gateway.domain.record import Record
from gateway.domain.retry import Fault, RetryRule
from gateway.domain.sse import DONE, data_of, events
from gateway.flow.attempt import Attempts
from gateway.flow.engine import Engine
from gateway.flow.herd import MOST_COUNTS
from gateway.flow.walk import Means
from gateway.testing.fakes import (
    FakeAnswer,
    FakeClock,
    FakeRouter,
    FakeTelemetry,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    streamed,
    usage_chunk,
)
from tests.flow.house import House as Pipeline

RESET = WireError(Fault.BROKEN, "reset")


class FakeTokens:
    """A token for each word; how long it takes and whether it knows are told to it."""

    def __init__(self, *, exact: bool = True, hangs: bool = False) -> None:
        self.exact, self.hangs = exact, hangs
        self.asked: list[str] = []

    async def window(self, model: str) -> int:
        return 4096

    async def count_texts(self, model: str, texts: Sequence[str]) -> list[Counted]:
        self.asked += texts
        if self.hangs:
            await asyncio.Event().wait()
        return [Counted(len(text.split()), self.exact) for text in texts]

    async def count_messages(
        self, model: str, messages: Sequence[Mapping[str, str]], *, continue_final: bool = False
    ) -> Counted:
        return Counted(1, self.exact)


class House:
    """An engine on fakes that never waits."""

    def __init__(
        self,
        *answers: FakeAnswer | BaseException,
        replicas: Sequence[Replica] = (),
        tokens: FakeTokens | None = None,
        **body: Any,
    ) -> None:
        self.clock = FakeClock()
        self.router = FakeRouter(*(replicas or [a_replica("r0"), a_replica("r1")]))
        self.wire, self.telemetry = FakeWire(answers), FakeTelemetry()
        times = Timeouts(idle=0.02)
        attempts = Attempts(self.router, self.wire, self.telemetry, times, self.clock)
        self.engine = Engine(
            self.router,
            attempts,
            RetryRule(3, (0.0,), jitter=0.0),
            clock=self.clock,
            random=lambda: 0.5,
            means=Means(tokens=tokens),
        )
        self.call = a_call(stream=True)
        self.call.body |= body
        self.call.record = Record(self.clock)
        self.made: list[Attempt] = []
        self.seen = b""
        self.complete = False

    async def ask(self) -> str:
        """The text that the client joins."""
        async with self.engine.open(self.call, self.made) as reply:
            async for piece in reply.chunks:
                self.seen += piece
        self.reply, self.complete = reply, reply.complete
        return self.text

    async def fails(self, error: type[GatewayError] = StreamTruncated) -> None:
        with pytest.raises(error):
            await self.ask()
        assert b"[DONE]" not in self.seen
        self.idle()

    @property
    def chunks(self) -> list[dict[str, Any]]:
        payloads = [data_of(event) or b"" for event in events(self.seen)]
        return [orjson.loads(one) for one in payloads if one != b"[DONE]"]

    @property
    def text(self) -> str:
        choices = [choice for one in self.chunks for choice in one["choices"]]
        return "".join(c.get("text") or c.get("delta", {}).get("content") or "" for c in choices)

    def note(self) -> dict[str, Any]:
        assert self.call.record is not None
        (note,) = [n.facts for n in self.call.record.notes if n.kind == "hand_over"]
        return note

    def results(self) -> list[str]:
        return [c[1] for c in self.telemetry.counts if c[0] == "gw_handovers_total"]

    def idle(self) -> None:
        assert not any(self.router.load.values())
        assert all(len(probe.ended) == 1 for probe in self.telemetry.probes)
        assert all(answer.released != answer.closed for answer in self.wire.given)


def cut(*texts: str, end: Any = RESET) -> FakeAnswer:
    return FakeAnswer(steps=(*[chunk(text) for text in texts], end))


async def test_another_replica_goes_on_and_all_is_told_of_it() -> None:
    house = House(cut("one", " two"), streamed(" three"), stream_options={"include_usage": True})
    assert await house.ask() == "one two three"
    assert house.seen.endswith(DONE)
    assert house.complete
    assert [(a.replica, a.result) for a in house.made] == [
        ("r0", "connection_broken"),
        ("r1", "ok"),
    ]
    assert house.reply.attempts == tuple(house.made)
    assert house.reply.replica == "r1"
    assert house.router.faults == [("r0", Fault.BROKEN), ("r1", None)]
    assert house.note() == {
        "result": "continued",
        "fault": "connection_broken",
        "from": "r0",
        "to": "r1",
        "tokens": 2,
    }
    assert house.results() == ["continued"]
    house.idle()


async def test_before_the_break_every_byte_is_the_replicas_own() -> None:
    house = House(cut("one", " two"), streamed(" three"))
    await house.ask()
    assert house.seen.startswith(chunk("one") + chunk(" two"))


async def test_the_router_learns_what_the_last_replica_used_the_client_what_both_did() -> None:
    last = FakeAnswer(steps=(chunk(" c"), chunk(finish="stop"), usage_chunk(9, 4), DONE))
    house = House(cut("a", " b"), last, stream_options={"include_usage": True})
    await house.ask()
    usage = house.router.successes[0][1]
    assert usage is not None
    assert (usage.prompt, usage.completion) == (9, 4)
    assert house.reply.usage is not None
    assert (house.reply.usage.prompt, house.reply.usage.completion) == (7, 6)
    assert house.chunks[-1]["usage"]["total_tokens"] == 13


@pytest.mark.parametrize(
    ("end", "fault"),
    [
        (lambda: asyncio.Event().wait(), "timeout"),
        (b'data: {"error":{"message":"dead"}}\n\n', "server_error"),
        (DONE, "truncated"),
        (b"data: nonsense\n\n" * 9, "garbage"),
    ],
    ids=["stall", "error event", "no finish", "babble"],
)
async def test_any_way_to_break_is_handed_over(end: Any, fault: str) -> None:
    house = House(cut("a", end=end), streamed(" b"))
    assert await house.ask() == "a b"
    assert house.made[0].result == fault


async def test_tokens_are_counted_by_the_tokenizer_without_the_last_white_space() -> None:
    tokens = FakeTokens()
    house = House(cut("one tw", "o\n"), streamed("\nthree"), tokens=tokens, max_tokens=9)
    assert await house.ask() == "one two\nthree"
    assert tokens.asked == ["one two"]
    assert house.wire.sent[1].body["max_tokens"] == 7


@pytest.mark.parametrize("tokens", [FakeTokens(exact=False), FakeTokens(hangs=True), None])
async def test_without_a_tokenizer_a_piece_is_a_token(tokens: FakeTokens | None) -> None:
    house = House(cut("one two", " three"), streamed(" four"), tokens=tokens, max_tokens=9)
    await house.ask()
    assert house.wire.sent[1].body["max_tokens"] == 7


async def test_the_replicas_own_count_is_the_best() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 4}
    told = orjson.dumps({"choices": [{"index": 0, "delta": {"content": "one"}}], "usage": usage})
    first = FakeAnswer(steps=(b"data: " + told + b"\n\n", RESET))
    tokens = FakeTokens()
    house = House(first, streamed(" two"), tokens=tokens, max_completion_tokens=9)
    await house.ask()
    assert tokens.asked == []
    assert house.wire.sent[1].body["max_completion_tokens"] == 5


def counting(text: str, prompt: int, tokens: int) -> bytes:
    """A piece of more than one token, with usage that the client has not asked for."""
    usage = {"prompt_tokens": prompt, "completion_tokens": tokens}
    said = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    return b"data: " + orjson.dumps({"id": "c", "model": "m", **said, "usage": usage}) + b"\n\n"


async def test_counts_that_the_client_never_sees_are_as_good() -> None:
    first = FakeAnswer(steps=(counting("a b", 5, 3), counting(" c", 5, 4), RESET))
    second = FakeAnswer(steps=(counting(" d e", 9, 2), RESET))
    end = (counting(" f", 11, 1), chunk(finish="stop"), usage_chunk(11, 1), DONE)
    tokens, three = FakeTokens(), [a_replica(f"r{n}") for n in range(3)]
    asked = {"stream_options": {"include_usage": True}, "max_tokens": 20}
    house = House(first, second, FakeAnswer(steps=end), replicas=three, tokens=tokens, **asked)
    assert await house.ask() == "a b c d e f"
    assert tokens.asked == []
    assert [sent.body["max_tokens"] for sent in house.wire.sent] == [20, 16, 14]
    # The prompt once, and every token that was generated, whoever did.
    assert [one["usage"] for one in house.chunks if one.get("usage")] == [
        {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    ]
    assert house.reply.usage == Usage(5, 7)


async def test_a_count_with_white_space_behind_the_text_is_not_that_of_the_text() -> None:
    first = FakeAnswer(steps=(counting("one", 5, 1), counting("\n\n", 5, 3), RESET))
    house = House(first, streamed(" two"), tokens=FakeTokens(), max_tokens=9)
    await house.ask()
    assert house.wire.sent[1].body["max_tokens"] == 8


async def test_an_answer_that_had_all_its_tokens_ends_as_one_that_was_too_long() -> None:
    house = House(cut("one", " two"), max_tokens=2)
    assert await house.ask() == "one two"
    assert house.chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert house.seen.endswith(DONE)
    assert (house.complete, house.reply.finish_reason) == (True, "length")
    assert house.results() == ["finished"]
    assert len(house.wire.sent) == 1
    house.idle()


async def test_the_operators_own_fields_count_as_the_clients() -> None:
    bound = [
        Replica(f"r{n}", "m", "up", f"http://r{n}.test/v1", params={"tools": [{}]})
        for n in range(2)
    ]
    house = House(cut("a"), streamed("b"), replicas=bound)
    await house.fails()
    assert house.note()["why"] == "tools"
    assert house.results() == ["unsafe"]


@pytest.mark.parametrize("why", ["reasoning", "tool_calls"])
async def test_what_was_shown_may_be_beyond_continuing(why: str) -> None:
    shown = orjson.dumps({"choices": [{"index": 0, "delta": {why: "x"}}]})
    house = House(FakeAnswer(steps=(b"data: " + shown + b"\n\n", RESET)), streamed("b"))
    await house.fails()
    assert house.note()["why"] == why


async def test_where_only_a_role_was_shown_the_same_request_goes_out_again() -> None:
    role = orjson.dumps({"id": "one", "choices": [{"index": 0, "delta": {"role": "assistant"}}]})
    first = FakeAnswer(steps=(b"data: " + role + b"\n\n", RESET))
    house = House(first, streamed("a", "b"), tools=[{}], max_tokens=5)
    assert await house.ask() == "ab"
    first_body, second_body = (sent.body for sent in house.wire.sent)
    assert first_body == second_body
    assert {one["id"] for one in house.chunks} == {"one"}
    assert house.results() == ["restarted"]


async def test_a_chain_of_broken_streams_is_one_answer() -> None:
    three = [a_replica(f"r{n}") for n in range(3)]
    house = House(cut("a", " b"), cut(" c"), streamed(" d"), replicas=three)
    assert await house.ask() == "a b c d"
    messages: Any = [sent.body["messages"] for sent in house.wire.sent]
    assert [m[-1]["content"] for m in messages] == ["hi", "a b", "a b c"]
    assert [a.replica for a in house.made] == ["r0", "r1", "r2"]


async def test_there_is_an_end_to_handing_over() -> None:
    house = House(*[cut(f" {n}") for n in range(9)])
    await house.fails()
    assert len(house.wire.sent) == 4, "the first, and three on top of it"
    assert house.text == " 0 1 2 3"
    assert house.results() == ["continued"] * 3 + ["failed"]


def far(number: int) -> FakeAnswer:
    """A replica that brings the answer eight pieces forward before it breaks."""
    return cut(*[f" {number}.{piece}" for piece in range(8)])


async def test_a_long_answer_may_outlive_more_replicas_than_that() -> None:
    house = House(*[far(n) for n in range(6)], streamed(" end"))
    assert (await house.ask()).endswith(" 5.7 end")
    assert len(house.wire.sent) == 7
    house.idle()


async def test_even_a_long_answer_does_not_go_round_for_ever() -> None:
    house = House(*[far(n) for n in range(20)])
    await house.fails()
    assert len(house.wire.sent) == 13, "the first, and four times three on top of it"


async def test_when_many_break_at_once_few_are_counted_and_the_others_estimated() -> None:
    many = MOST_COUNTS + 4
    tokens = FakeTokens(hangs=True)
    house = House(*[cut("a b", " c") for _ in range(many)], *[streamed()] * many, tokens=tokens)

    async def ask() -> None:
        call = a_call(stream=True)
        call.body["max_tokens"] = 9
        async with house.engine.open(call, []) as reply:
            async for _ in reply.chunks:
                pass

    tasks = [asyncio.create_task(ask()) for _ in range(many)]
    async with asyncio.timeout(5):
        while len(house.wire.sent) < many + 4:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
    assert len(tokens.asked) == MOST_COUNTS
    assert [sent.body["max_tokens"] for sent in house.wire.sent[many:]] == [7] * 4
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_target_that_refuses_the_prefill_ends_it() -> None:
    house = House(cut("a"), failing(400, b'{"error":{"message":"no prefill"}}'))
    await house.fails()
    assert house.results() == ["failed"]
    assert house.router.faults == [("r0", Fault.BROKEN), ("r1", None)]


async def test_a_target_that_is_down_is_passed_over_for_the_next() -> None:
    three = [a_replica(f"r{n}") for n in range(3)]
    house = House(cut("a"), failing(503), streamed(" b"), replicas=three)
    assert await house.ask() == "a b"
    assert [a.result for a in house.made] == ["connection_broken", "server_error", "ok"]


async def test_a_stall_that_nobody_could_mend_is_told_as_a_timeout() -> None:
    house = House(cut("a", end=lambda: asyncio.Event().wait()), tools=[{}])
    await house.fails(LLMTimeoutError)


async def test_a_continuation_that_begins_to_think_is_cut_off() -> None:
    thinks = orjson.dumps({"choices": [{"index": 0, "delta": {"reasoning": "hm"}}]})
    house = House(cut("a"), FakeAnswer(steps=(chunk(" b"), b"data: " + thinks + b"\n\n")))
    await house.fails()
    assert house.text == "a b"


async def test_a_client_that_leaves_at_the_seam_leaves_nothing_behind() -> None:
    silent = FakeAnswer(steps=(lambda: asyncio.Event().wait(),))
    house = House(cut("a"), silent)
    task = asyncio.create_task(house.ask())
    async with asyncio.timeout(5):
        while len(house.wire.given) < 2:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert silent.closed
    assert [a.result for a in house.made] == ["connection_broken", "cancelled"]
    house.idle()


async def test_a_client_that_leaves_while_tokens_are_counted_leaves_nothing_behind() -> None:
    tokens = FakeTokens(hangs=True)
    house = House(cut("a"), streamed("b"), tokens=tokens)
    task = asyncio.create_task(house.ask())
    async with asyncio.timeout(5):
        while not tokens.asked:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [a.result for a in house.made] == ["connection_broken"]
    house.idle()


async def test_a_completion_goes_on_behind_its_prompt() -> None:
    def event(text: str, finish: str | None = None, name: str = "one") -> bytes:
        choice = {"index": 0, "text": text, "finish_reason": finish}
        return b"data: " + orjson.dumps({"id": name, "choices": [choice]}) + b"\n\n"

    house = House(
        FakeAnswer(steps=(event("(a,"), event(" b"), RESET)),
        FakeAnswer(steps=(event("):", name="two"), event("", "stop", "two"))),
        prompt="def f",
    )
    call = Call("req-1", COMPLETIONS, "m", {"prompt": "def f"}, 0.0, 60.0, stream=True)
    call.record = house.call.record
    house.call = call
    assert await house.ask() == "(a, b):"
    assert house.wire.sent[1].body["prompt"] == "def f(a, b"
    assert house.wire.sent[1].body["max_tokens"] == 14, "of OpenAI's sixteen"
    assert {one["id"] for one in house.chunks} == {"one"}


async def test_events_that_are_none_are_counted_for_the_replica_that_sent_them() -> None:
    first = FakeAnswer(steps=(chunk("a"), b"data: no\n\n", chunk(" b"), RESET))
    house = House(first, streamed(" c"))
    assert await house.ask() == "a b c"
    assert house.telemetry.counts.count(("gw_malformed_events_total", "r0")) == 1


async def test_a_server_that_repeats_the_prefill_is_not_shown_repeating_it() -> None:
    house = House(cut("a rather long", " beginning"), streamed("a rather long beginning", ", end"))
    assert await house.ask() == "a rather long beginning, end"


class Shouting(Policy):
    """Holds two characters back, as a policy that looks for secrets does."""

    window = 2

    async def during(self, call: Call, delta: Delta) -> Delta:
        return replace(delta, text=delta.text.upper())


async def test_policies_see_one_answer_whoever_gave_which_part_of_it() -> None:
    router = FakeRouter(a_replica("r0"), a_replica("r1"))
    shouting = Link(Shouting(Policy.Settings(), Tools.fixed()), "shouting")
    house = Pipeline([cut("one", " two"), streamed(" three")], chain=[shouting], router=router)
    seen = await house.ask(a_call(stream=True))
    payloads = [data_of(event) or b"" for event in events(seen)]
    told = [orjson.loads(one) for one in payloads if one != b"[DONE]"]
    said = [c["delta"].get("content") or "" for one in told for c in one["choices"]]
    assert "".join(said) == "ONE TWO THREE"
    assert [a.result for a in house.outcome.attempts] == ["connection_broken", "ok"]
    assert house.outcome.replica == "r1"
    assert house.idle()
