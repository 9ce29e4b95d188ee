"""Who is in the rooms: counted to the last, found by id, and told where each stands."""

from __future__ import annotations

import asyncio

import pytest

from gateway.domain.call import Call, Caller, Outcome, OutcomeKind, Reply, Usage
from gateway.domain.errors import GatewayError
from gateway.domain.live import MOST_CALLS
from gateway.domain.policy import Link
from gateway.domain.record import Record
from gateway.flow.books import Books
from gateway.flow.floor import Floor, phase_of, replica_of
from gateway.flow.meter import Meter
from gateway.testing.fakes import FakeAnswer, FakeClock, a_call, chunk, failing, plain, streamed
from tests.flow.house import House, Rule, forever, left, until


def a_meter(
    *kinds: str, reply: Reply | None = None, began: float = 0.0, team: str = "ide"
) -> Meter:
    """A call with a note of each kind, one a second; its reply, if any, began at `began`."""
    clock = FakeClock()
    call = a_call(stream=True)
    call.caller, call.record = Caller(team, f"{team}-1"), Record(clock)
    for kind in kinds:
        clock.now += 1
        call.note(kind, replica=f"r{clock.now:.0f}")
    if reply is not None:
        reply.first_token_seconds = began
    return Meter(call, clock, reply=reply)


def a_reply(usage: Usage | None = None) -> Reply:
    return Reply(chunks=None, stream=True, replica="r9", progress=lambda: usage)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kinds", "phase"),
    [
        ((), "checking"),
        (("policy", "redaction"), "checking"),
        (("policy", "queued"), "queued"),
        (("queued", "slot"), "choosing"),
        (("slot", "choice"), "asked"),
        (("choice", "translated"), "asked"),
        (("choice", "attempt"), "retrying"),
        (("choice", "attempt", "choice"), "asked"),
        (("choice", "attempt", "fallback"), "choosing"),
        (("choice", "hedge"), "asked"),
    ],
)
def test_the_newest_decision_says_where_a_call_without_an_answer_stands(
    kinds: tuple[str, ...], phase: str
) -> None:
    assert phase_of(a_meter(*kinds)) == phase


def test_an_answer_that_has_begun_is_answering_until_its_stream_has_to_move() -> None:
    assert phase_of(a_meter("choice", reply=a_reply(), began=2.0)) == "answering"
    # The loser of a race ends a moment after the winner has begun.
    assert phase_of(a_meter("choice", "attempt", reply=a_reply(), began=1.5)) == "answering"
    assert phase_of(a_meter("choice", "choice", reply=a_reply(), began=1.5)) == "handing_over"
    moved = a_meter("choice", "choice", "hand_over", reply=a_reply(), began=1.5)
    assert phase_of(moved) == "answering"
    moved.ending = True
    assert phase_of(moved) == "ending"


def test_the_replica_is_the_one_that_answers_else_the_one_that_was_chosen_last() -> None:
    assert replica_of(a_meter("policy")) == ""
    assert replica_of(a_meter("choice", "attempt", "choice")) == "r3"
    assert replica_of(a_meter("choice", reply=a_reply())) == "r9"


def test_what_has_ended_is_counted_by_team_and_by_how() -> None:
    floor = Floor(FakeClock())
    ends = [
        ("ide", OutcomeKind.COMPLETED, Usage(5, 2)),
        ("ide", OutcomeKind.TIMEOUT, None),
        ("ide", OutcomeKind.TRUNCATED, Usage(-1, 1)),
        ("web", OutcomeKind.REFUSED, None),
        ("web", OutcomeKind.CANCELLED, Usage(3, 1)),
        ("web", OutcomeKind.FAILED, None),
    ]
    for team, kind, usage in ends:
        meter = a_meter(team=team)
        floor.enter(meter)
        floor.leave(meter, Outcome(kind=kind, usage=usage))
        floor.leave(meter, Outcome(kind=kind, usage=usage))
    seen = floor.seen()
    assert seen.counts == {
        "requests": 6,
        "refused": 1,
        "cancelled": 1,
        "failed": 3,
        "prompt_tokens": 8,
        "completion_tokens": 4,
    }
    assert (seen.by_team["ide"]["requests"], seen.by_team["web"]["requests"]) == (3, 3)
    assert (seen.phases, seen.slowest) == ({}, [])


def test_streams_that_run_count_with_what_they_have_told_so_far() -> None:
    floor = Floor(FakeClock(7.0))
    floor.enter(a_meter("queued"))
    floor.enter(a_meter("choice", reply=a_reply(Usage(5, 40)), began=2.0))
    floor.enter(a_meter("choice", reply=a_reply(), began=2.0, team="web"))
    seen = floor.seen()
    assert (seen.counts["requests"], seen.counts["completion_tokens"]) == (0, 40)
    assert seen.phases == {"queued": 1, "answering": 2}
    assert seen.teams[0] == {"team": "ide", "running": 2, "queued": 1}
    assert [one["tokens"] for one in seen.slowest] == [None, 40, None]
    assert [one["seconds"] for one in seen.slowest] == [7.0] * 3


def test_no_more_calls_than_that_are_told_and_no_more_teams() -> None:
    floor = Floor(FakeClock())
    for number in range(2 * MOST_CALLS):
        floor.enter(a_meter(team=f"team-{number}"))
    seen = floor.seen()
    assert len(seen.slowest) == MOST_CALLS
    assert len(seen.teams) == 51
    assert seen.teams[-1]["team"] == "other"


def test_what_a_client_has_put_into_the_models_place_is_harmless() -> None:
    floor = Floor(FakeClock())
    for model in ("x" * 1000, "\ud800", "sk-abcdefghijklmnop"):
        meter = a_meter()
        meter.call.model = model
        floor.enter(meter)
    names = [one["model"] for one in floor.seen().slowest]
    assert len(names[0]) == 256
    assert names[1:] == ["?", "[redacted]"]


def test_calls_that_run_are_found_by_their_id_the_newest_first() -> None:
    floor = Floor(FakeClock())
    first, second, other = a_meter(), a_meter(), a_meter(team="web")
    for meter in (first, second, other):
        floor.enter(meter)
    assert floor.find("req-1", "ide") == [second, first]
    assert floor.find("req-1") == [other, second, first]
    assert floor.find("req-2") == []


# ---- In the rooms --------------------------------------------------------------------------------


def floored(house: House) -> Floor:
    floor = Floor(house.clock)
    house.pipeline._books = Books(house.clock, house.ledger, floor=floor)
    return floor


async def test_a_call_is_on_the_floor_from_its_start_until_policies_have_heard_of_its_end() -> None:
    inside: list[str] = []

    def look(call: Call) -> None:
        inside.extend(one["phase"] for one in floor.seen().slowest)

    house = House([streamed("one")], chain=[Link(Rule(look, look), "n")])
    floor = floored(house)
    await house.ask(a_call(stream=True))
    assert inside == ["checking", "ending"]
    assert floor.seen().slowest == []
    assert floor.seen().counts["completion_tokens"] == 2


async def test_calls_that_fail_or_whose_client_leaves_are_off_the_floor() -> None:
    house = House([failing(400), FakeAnswer(steps=(chunk("a"), forever))])
    floor = floored(house)
    with pytest.raises(GatewayError):
        await house.ask()
    task = asyncio.create_task(house.ask(a_call(stream=True)))
    await until(lambda: floor.seen().phases == {"answering": 1})
    (row,) = floor.seen().slowest
    assert (row["replica"], row["tokens"], row["attempts"]) == ("r0", 1, 1)
    await left(task)
    seen = floor.seen()
    assert (seen.phases, seen.counts["refused"], seen.counts["cancelled"]) == ({}, 1, 1)


async def test_a_rehearsal_is_not_counted() -> None:
    house = House([plain()])
    floor = floored(house)
    call = a_call()
    call.rehearsal = True
    await house.ask(call)
    assert floor.seen().counts["requests"] == 0
