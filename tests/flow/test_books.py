"""One entry for each call: when it is made, for whom, and what is in it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from gateway.domain.call import Call, Caller
from gateway.domain.errors import GatewayError, LLMError, Refusal, Unauthorized
from gateway.domain.ledger import Entry
from gateway.domain.policy import Delta, Link, Policy, Tools
from gateway.domain.prices import Price, Prices
from gateway.flow.books import Books
from gateway.testing.fakes import FakeAnswer, a_call, chunk, failing, plain, streamed
from tests.flow.house import House, Rule, forever, left, until

KEY = "sk-gw-right"
KEYS = {hashlib.sha256(KEY.encode()).hexdigest(): Caller("ide", "ide-1")}


def the_entry(house: House) -> Entry:
    (entry,) = house.ledger.entries
    return entry


def known(stream: bool = False) -> Call:
    call = a_call(stream=stream)
    call.credential = KEY
    return call


async def entries_seen(house: House, call: Call) -> list[tuple[bytes, int]]:
    """Each chunk with the number of entries at the moment when it could leave."""
    async with house.pipeline.answer(call) as reply:
        return [(chunk, len(house.ledger.entries)) async for chunk in reply.chunks]


async def test_an_answer_is_entered_before_its_body_leaves() -> None:
    house = House([plain()], keys=KEYS)
    assert [count for _, count in await entries_seen(house, known())] == [1]
    entry = the_entry(house)
    assert (entry.team, entry.key_id, entry.outcome, entry.status) == (
        "ide",
        "ide-1",
        "completed",
        200,
    )
    assert (entry.model, entry.served_model, entry.replica) == ("m", "served-m", "r0")
    assert (entry.counted, entry.attempts, entry.stream) == (True, 1, False)
    assert entry.prompt_tokens > 0


async def test_a_stream_is_entered_before_its_end_leaves_and_not_earlier() -> None:
    house = House([streamed("one", "two")], keys=KEYS)
    seen = await entries_seen(house, known(stream=True))
    assert seen[0][1] == 0
    assert (seen[-1][0], seen[-1][1]) == (b"data: [DONE]\n\n", 1)
    assert (the_entry(house).outcome, the_entry(house).stream) == ("completed", True)


async def test_who_leaves_with_the_last_chunk_in_hand_is_entered_once() -> None:
    house = House([streamed("one")], keys=KEYS)

    async def reads_to_the_end() -> None:
        async with house.pipeline.answer(known(stream=True)) as reply:
            async for chunk in reply.chunks:
                if b"[DONE]" in chunk:
                    await forever()

    task = asyncio.create_task(reads_to_the_end())
    await until(lambda: house.ledger.entries)
    await left(task)
    assert the_entry(house).outcome == "completed"
    assert house.outcome.kind == "completed"


async def test_attempts_that_failed_before_are_counted() -> None:
    house = House([failing(500), plain()], keys=KEYS)
    await house.ask(known())
    assert the_entry(house).attempts == 2


@pytest.mark.parametrize(
    ("answers", "error", "outcome"),
    [
        ([failing(400)], GatewayError, "refused"),
        ([failing(500), failing(500)], LLMError, "failed"),
        ([streamed("one", finish=None, done=False)], LLMError, "truncated"),
    ],
)
async def test_what_fails_is_entered_with_how_it_ended(
    answers: list[Any], error: type[Exception], outcome: str
) -> None:
    house = House(answers, keys=KEYS)
    with pytest.raises(error):
        await house.ask(known(stream=outcome == "truncated"))
    entry = the_entry(house)
    assert entry.outcome == outcome
    assert entry.status >= 400


async def test_a_refused_call_and_a_cancelled_one_are_entered() -> None:
    def no(call: Call) -> None:
        raise Refusal("no")

    house = House(chain=[Link(Rule(no), "no")], keys=KEYS)
    with pytest.raises(Refusal):
        await house.ask(known())
    assert (the_entry(house).outcome, the_entry(house).code) == ("refused", "refused_by_policy")

    waiting = House(chain=[Link(rule := Rule(lambda call: forever()), "slow")], keys=KEYS)
    task = asyncio.create_task(waiting.ask(known()))
    await until(lambda: rule.entered)
    await left(task)
    assert the_entry(waiting).outcome == "cancelled"


async def test_a_bad_key_and_a_rehearsal_leave_no_entry() -> None:
    house = House([plain()], keys=KEYS)
    call = a_call()
    call.credential = "sk-gw-wrong"
    with pytest.raises(Unauthorized):
        await house.ask(call)
    rehearsed = known()
    rehearsed.rehearsal = True
    await house.ask(rehearsed)
    assert not house.ledger.entries


async def test_an_answer_that_a_policy_takes_back_is_not_entered_as_complete() -> None:
    class Never(Policy):
        async def during(self, call: Call, delta: Delta) -> Delta:
            raise Refusal("not this")

    house = House([plain()], chain=[Link(Never(Never.Settings(), Tools.fixed()), "n")], keys=KEYS)
    with pytest.raises(Refusal):
        await house.ask(known())
    entry = the_entry(house)
    assert entry.outcome == "refused"
    assert (entry.counted, entry.prompt_tokens > 0) == (True, True)  # it was generated all the same


async def test_what_it_cost_is_in_it() -> None:
    house = House([streamed("one")], keys=KEYS)
    price = Price(prompt=2_000_000, completion=3_000_000)
    told: list[tuple[str, int]] = []
    house.pipeline._books = Books(
        house.clock,
        house.ledger,
        Prices({"m": price}),
        on_cost=lambda call, cost: told.append((call.caller.team, cost)),
    )
    await house.ask(known(stream=True))
    entry = the_entry(house)
    assert told == [("ide", entry.cost)]
    assert entry.cost == 2 * entry.prompt_tokens + 3 * entry.completion_tokens


async def test_each_entry_has_a_name_of_its_own_whatever_the_client_calls_it() -> None:
    house = House([plain() for _ in range(50)], keys=KEYS)
    for _ in range(50):
        await house.ask(known())
    uids = {entry.uid for entry in house.ledger.entries}
    assert len(uids) == 50
    assert len({entry.call_id for entry in house.ledger.entries}) == 1
    assert all(len(uid) == 32 for uid in uids)


async def test_the_time_in_it_is_when_the_call_came_in() -> None:
    house = House([plain()], keys=KEYS)
    house.pipeline._books = Books(house.clock, house.ledger, now=lambda: 5000.0)
    call = known()
    call.received = house.clock() - 10
    await house.ask(call)
    assert the_entry(house).at == 4990.0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_is_entered_as_guessed_and_not_counted(stream: bool) -> None:
    steps = (chunk("one"), chunk(" two"), chunk(finish="stop"), b"data: [DONE]\n\n")
    bare = FakeAnswer(steps=steps) if stream else plain("said", usage=False)
    house = House([bare], keys=KEYS)
    await house.ask(known(stream=stream))
    entry = the_entry(house)
    assert (entry.outcome, entry.counted) == ("completed", False)
    assert entry.prompt_tokens > 0
    assert entry.completion_tokens > 0


async def test_the_call_knows_what_it_cost_and_so_where_that_is_guessed() -> None:
    house = House([plain(), plain(usage=False)])
    prices = Prices({"m": Price(prompt=2_000_000, completion=3_000_000)})
    house.pipeline._books = Books(house.clock, house.ledger, prices)
    calls = [a_call(), a_call()]
    for call in calls:
        await house.ask(call)
    assert calls[0].cost == 5 * 2 + 2 * 3
    assert calls[1].cost == house.ledger.entries[1].cost > 0
