"""The rooms in their order, and how a call may end: one outcome, and nothing left held."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.domain.call import Call, Caller, OutcomeKind
from gateway.domain.errors import (
    GatewayError,
    LLMError,
    LLMTimeoutError,
    ModelNotFound,
    Overloaded,
    Refusal,
    RejectedByReplica,
    StreamTruncated,
    Unauthorized,
)
from gateway.domain.limits import QueueLimits
from gateway.domain.policy import Delta, Link, Policy, PolicyFailed, Tools, When
from gateway.domain.ports import Replica, WireError
from gateway.domain.quota import Quota
from gateway.domain.retry import Fault
from gateway.domain.sse import data_of, events
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)
from tests.flow.house import House, Rule

KEY = "sk-gw-right"
KEYS = {hashlib.sha256(KEY.encode()).hexdigest(): Caller("ide", "ide-1")}


# ---- The order of the rooms ----------------------------------------------------------------------


class Aliased(FakeRouter):
    """Knows "m" as "fast" too."""

    def replicas(self, model: str) -> tuple[Replica, ...]:
        return super().replicas({"fast": "m"}.get(model, model))


async def test_no_alias_is_a_way_around_what_is_said_of_its_model() -> None:
    rules = [Rule(), Rule(), Rule()]
    names = [("m",), ("fast",), ("other",)]
    chain = [
        Link(rule, f"for-{models[0]}", When(models=models))
        for rule, models in zip(rules, names, strict=True)
    ]
    house = House([plain(), plain()], chain=chain, router=Aliased())
    calls = [a_call(model="m"), a_call(model="fast")]
    for call in calls:
        await house.ask(call)
    assert [rule.entered for rule in rules] == [calls, calls[1:], []]
    assert [call.group for call in calls] == ["m", "m"]
    limit = Quota(per=("model",))
    assert limit.names(calls[0]) == limit.names(calls[1])
    calls[1].model = "another"
    assert calls[1].group == "another"


async def test_the_rooms_come_in_their_order_and_settling_comes_last() -> None:
    diary: list[str] = []

    class Replicas(FakeRouter):
        def started(self, call: Call, replica: Replica) -> None:
            diary.append("engine")
            super().started(call, replica)

        def ended(self, *args: Any, **named: Any) -> None:
            diary.append("given back")
            super().ended(*args, **named)

    def capacity(model: str) -> int:
        diary.append("admission")
        return 1

    async def prepare(call: Call) -> None:
        diary.append(f"prepare for {call.caller.team}")

    rule = Rule(lambda call: diary.append("guard"), lambda call: diary.append("after"))
    house = House([plain()], chain=[Link(rule, "r")], keys=KEYS, router=Replicas())
    house.admission._capacity = capacity
    house.telemetry.settled = lambda call, outcome: diary.append("settled")  # type: ignore[method-assign]
    call = a_call()
    call.credential = KEY
    await house.ask(call, prepare)
    rooms = [step for step, before in zip(diary, ["", *diary], strict=False) if step != before]
    assert rooms == [
        "prepare for ide",
        "guard",
        "admission",
        "engine",
        "given back",
        "after",
        "settled",
    ]


async def test_a_rehearsal_is_checked_and_settled_and_no_replica_hears_of_it() -> None:
    rule = Rule()
    house = House([plain()], chain=[Link(rule, "r")], keys=KEYS)
    call = a_call()
    call.credential = KEY
    seen: list[str] = []

    async def prepare(call: Call) -> None:
        seen.append(call.caller.team)
        call.rehearsal = True

    async with house.pipeline.answer(call, prepare) as reply:
        assert rule.entered == [call]
        assert house.telemetry.outcomes == []
        assert (reply.replica, reply.attempts) == ("", ())
    assert seen == ["ide"]
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.COMPLETED, 200)
    assert len(rule.settled) == 1
    assert house.wire.sent == []
    assert house.asked_capacity == []


async def test_a_rehearsal_without_a_key_or_against_a_policy_is_refused_and_settled() -> None:
    async def prepare(call: Call) -> None:
        raise AssertionError("nothing is looked at without a key")

    house = House(keys=KEYS)
    call = a_call()
    call.rehearsal = True
    with pytest.raises(Unauthorized):
        async with house.pipeline.answer(call, prepare):
            pass
    assert house.outcome.kind is OutcomeKind.REFUSED


@pytest.mark.parametrize("key", [None, "sk-gw-wrong"])
async def test_without_a_key_nothing_is_prepared_asked_or_sent(key: str | None) -> None:
    async def prepare(call: Call) -> None:
        raise AssertionError("a stranger costs no work")

    rule = Rule()
    house = House([plain()], chain=[Link(rule, "r")], keys=KEYS)
    call = a_call()
    call.credential = key
    with pytest.raises(Unauthorized):
        await house.ask(call, prepare)
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.REFUSED, 401)
    assert (rule.entered, rule.settled, house.asked_capacity, house.wire.sent) == ([], [], [], [])


async def test_every_call_gets_a_record_and_the_verdicts_of_policies_are_in_it() -> None:
    house = House([plain()], chain=[Link(Rule(), "rule")])
    call = a_call()
    await house.ask(call)
    assert call.record is not None
    (verdict,) = [note.facts for note in call.record.notes if note.kind == "policy"]
    assert (verdict["policy"], verdict["decision"]) == ("rule", "allowed")


async def test_policies_and_replicas_see_what_was_prepared() -> None:
    async def prepare(call: Call) -> None:
        call.body = {"model": "m", "messages": [{"role": "user", "content": "prepared"}]}

    seen: list[str] = []
    rule = Rule(lambda call: seen.append(call.body["messages"][0]["content"]))
    house = House([plain()], chain=[Link(rule, "r")])
    await house.ask(a_call(), prepare)
    assert seen == ["prepared"]
    assert house.wire.sent[0].body["messages"] == [{"role": "user", "content": "prepared"}]


async def test_a_model_that_does_not_exist_is_a_404_and_no_policy_is_asked() -> None:
    rule = Rule()
    house = House([plain()], chain=[Link(rule, "r")])
    with pytest.raises(ModelNotFound, match=r"'nope'.*GET /v1/models"):
        await house.ask(a_call(model="nope"))
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.REFUSED, 404)
    assert rule.entered == []
    assert house.asked_capacity == []


async def test_a_name_of_any_length_makes_no_long_error() -> None:
    with pytest.raises(ModelNotFound) as caught:
        await House().ask(a_call(model="x" * 100_000))
    assert len(caught.value.public) < 300


async def test_while_no_model_is_known_at_all_every_name_is_a_503_to_come_back_from() -> None:
    router = FakeRouter()
    router.all = ()
    with pytest.raises(LLMError) as caught:
        await House(router=router).ask()
    assert (caught.value.status, caught.value.retry_after) == (503, 2.0)


async def test_a_policy_may_send_a_call_to_another_model() -> None:
    def move(call: Call) -> None:
        call.model = "big"

    router = FakeRouter(a_replica("r0"), a_replica("b0", "big"))
    house = House([plain()], chain=[Link(Rule(move), "r")], router=router)
    call = a_call()
    await house.ask(call)
    assert house.wire.sent[0].url.startswith("http://b0.test/")
    assert house.wire.sent[0].body["model"] == "served-big"
    assert set(house.asked_capacity) == {"big"}, "the slot is one of the model that answers"


async def test_a_policy_that_sends_a_call_to_an_unknown_model_makes_a_404() -> None:
    def move(call: Call) -> None:
        call.model = "gone"

    house = House([plain()], chain=[Link(rule := Rule(move), "r")])
    with pytest.raises(ModelNotFound, match="'gone'"):
        await house.ask()
    assert (house.outcome.status, house.wire.sent, house.asked_capacity) == (404, [], [])
    assert rule.settled == [house.outcome]


# ---- How a call may end --------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_read_to_its_end_is_completed(stream: bool) -> None:
    rule = Rule()
    house = House([streamed("hi") if stream else plain("hi")], chain=[Link(rule, "r")])
    await house.ask(a_call(stream=stream))
    outcome = house.outcome
    assert (outcome.kind, outcome.status, outcome.code) == (OutcomeKind.COMPLETED, 200, "")
    assert (outcome.replica, outcome.served_model, outcome.finish_reason) == (
        "r0",
        "served-m",
        "stop",
    )
    assert outcome.usage is not None
    assert [(a.replica, a.result) for a in outcome.attempts] == [("r0", "ok")]
    assert rule.settled == [outcome], "policies and telemetry are told the same"
    assert house.idle()


def refuse(call: Call) -> None:
    raise Refusal("not here", status=418)


def crash(call: Call) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("answers", "act", "error", "kind", "status"),
    [
        ([plain()], refuse, Refusal, OutcomeKind.REFUSED, 418),
        ([plain()], crash, PolicyFailed, OutcomeKind.FAILED, 503),
        ([failing(400)], None, RejectedByReplica, OutcomeKind.REFUSED, 400),
        ([failing(500)] * 2, None, LLMError, OutcomeKind.FAILED, 503),
        ([WireError(Fault.TIMEOUT, "slow")] * 2, None, LLMTimeoutError, OutcomeKind.TIMEOUT, 504),
        (
            [FakeAnswer(steps=(chunk("he"), WireError(Fault.BROKEN, "reset")))],
            None,
            StreamTruncated,
            OutcomeKind.TRUNCATED,
            502,
        ),
    ],
    ids=["policy refuses", "policy breaks", "replica refuses", "failed", "timeout", "truncated"],
)
async def test_an_error_ends_a_call_as_what_it_is(
    answers: list[FakeAnswer | BaseException],
    act: Callable[[Call], None] | None,
    error: type[GatewayError],
    kind: OutcomeKind,
    status: int,
) -> None:
    answers = [replace(a) if isinstance(a, FakeAnswer) else a for a in answers]
    rule = Rule(act or (lambda call: None))
    house = House(answers, chain=[Link(rule, "r")])
    with pytest.raises(error) as caught:
        await house.ask(a_call(stream=True))
    outcome = house.outcome
    assert (outcome.kind, outcome.status, outcome.code) == (kind, status, caught.value.code)
    assert outcome.detail == caught.value.detail
    assert len(outcome.attempts) == len(house.wire.sent)
    assert rule.settled == [outcome]
    assert house.idle()


async def test_a_full_house_refuses_and_troubles_no_replica() -> None:
    house = House([plain()], queue=QueueLimits(slots=1, size=1, wait=0.02))
    async with house.admission.slot(a_call()):
        with pytest.raises(Overloaded):
            await house.ask()
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.REFUSED, 429)
    assert (house.outcome.attempts, house.wire.sent) == ((), [])
    assert house.idle()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_exception_of_ours_is_a_failure_whatever_had_been_read(stream: bool) -> None:
    house = House([streamed("hi") if stream else plain("hi")])

    async def door() -> None:
        async with house.pipeline.answer(a_call(stream=stream)) as reply:
            assert [piece async for piece in reply.chunks]
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError):
        await door()
    outcome = house.outcome
    assert (outcome.kind, outcome.status, outcome.code) == (
        OutcomeKind.FAILED,
        500,
        "internal_error",
    )
    assert outcome.detail == "ZeroDivisionError: ours"
    assert house.idle()


async def test_an_exception_of_ours_while_preparing_is_a_failure_without_attempts() -> None:
    async def prepare(call: Call) -> None:
        raise KeyError("ours")

    house = House([plain()])
    with pytest.raises(KeyError):
        await house.ask(a_call(), prepare)
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.FAILED, 500)
    assert house.outcome.attempts == ()


async def test_a_reader_that_stops_early_without_a_word_is_never_called_completed() -> None:
    house = House([streamed("he", "llo")])
    async with house.pipeline.answer(a_call(stream=True)) as reply:
        async for _ in reply.chunks:
            break
    assert house.outcome.kind is OutcomeKind.FAILED, "nobody has said that the client left"
    assert house.wire.given[0].closed
    assert house.router.faults == [("r0", None)]
    assert house.idle()


# ---- Answers through policies --------------------------------------------------------------------


class Watching(Policy):
    """Redacts a word, and refuses another."""

    window = 8

    async def during(self, call: Call, delta: Delta) -> Delta:
        if "forbidden" in delta.text:
            raise Refusal("withheld")
        return replace(delta, text=delta.text.replace("secret", "[gone]"))


def watching() -> Link:
    return Link(Watching(Policy.Settings(), Tools.fixed()), "w", When(models=("m",)))


@pytest.mark.parametrize("stream", [False, True])
async def test_what_a_policy_takes_out_of_an_answer_does_not_leave(stream: bool) -> None:
    texts = ("the sec", "ret is ", "out, for everyone to see")
    answer = streamed(*texts) if stream else plain("".join(texts))
    house = House([answer], chain=[watching()])
    body = await house.ask(a_call(stream=stream))
    deltas = "delta" if stream else "message"
    said = [
        choice.get(deltas, {}).get("content", "")
        for event in events(body)
        if (payload := data_of(event) if stream else event) and payload != b"[DONE]"
        for choice in orjson.loads(payload)["choices"]
    ]
    assert "".join(said) == "the [gone] is out, for everyone to see"
    assert body.endswith(b"[DONE]\n\n") is stream
    assert house.outcome.kind is OutcomeKind.COMPLETED
    assert house.outcome.usage is not None, "counted though the client reads other bytes"
    assert house.idle()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_in_the_middle_ends_the_call_as_refused(stream: bool) -> None:
    texts = ("all is well so far and ", "then forbid", "den things", " follow")
    answer = streamed(*texts) if stream else plain("".join(texts))
    house = House([answer], chain=[watching()])
    seen: list[bytes] = []

    async def door() -> None:
        async with house.pipeline.answer(a_call(stream=stream)) as reply:
            async for piece in reply.chunks:
                seen.append(piece)

    with pytest.raises(Refusal):
        await door()
    assert b"forbid" not in b"".join(seen)
    assert bool(seen) is stream
    assert (house.outcome.kind, house.outcome.status) == (OutcomeKind.REFUSED, 403)
    assert answer.closed is stream, "a model that still speaks is stopped"
    assert house.router.faults == [("r0", None)], "the replica is not to blame"
    assert house.idle()


async def test_an_answer_that_nobody_watches_passes_untouched() -> None:
    answer = streamed("the secret")
    house = House([answer], chain=[watching()], router=FakeRouter(a_replica("r1", "other")))
    call = a_call(stream=True, model="other")
    call.body["stream_options"] = {"include_usage": True}
    assert await house.ask(call) == b"".join(answer.steps)  # type: ignore[arg-type]
