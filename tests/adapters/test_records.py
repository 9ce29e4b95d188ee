"""Decision records: what is in one, who finds it, and how much memory they may take."""

from __future__ import annotations

import json

import pytest

from gateway.adapters.records import Records, document
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.errors import RecordsUnavailable
from gateway.domain.record import MOST_NOTES, Record
from gateway.domain.retry import Fault
from gateway.testing.fakes import FakeClock, a_call

PLENTY = 1 << 20


def of(team: str = "ide", call_id: str = "r-1", model: str = "m") -> Call:
    call = a_call(model=model)
    call.id, call.caller = call_id, Caller(team, f"{team}-1")
    return call


DONE = Outcome(kind=OutcomeKind.COMPLETED, status=200, seconds=2.0)


def ids(records: Records, *names: str, team: str = "ide") -> list[str]:
    return [name for name in names if records.find(team, name)]


def test_the_document_tells_the_whole_way_in_seconds_from_its_start() -> None:
    clock = FakeClock(100.0)
    call = of()
    call.received, call.record, call.queue_seconds = 100.0, Record(clock), 0.25
    call.prompt, call.cost = PromptRef("code/explain", "1", "abc"), 12
    clock.now = 100.5
    call.note("choice", replica="r1", why="fewest in flight", candidates=["r0", "r1"])
    outcome = Outcome(
        kind=OutcomeKind.COMPLETED,
        status=200,
        usage=Usage(5, 2, 1),
        replica="r1",
        served_model="served-m",
        finish_reason="stop",
        attempts=(Attempt("r0", Fault.CONNECT, 0.1), Attempt("r1", "ok", 1.2)),
        seconds=2.0,
        first_token_seconds=0.9,
        queue_seconds=0.25,
    )
    assert document(call, outcome, "f" * 32, 0.0) == {
        "request_id": "r-1",
        "trace_id": "f" * 32,
        "began": "1970-01-01T00:00:00.000Z",
        "route": "/v1/chat/completions",
        "team": "ide",
        "key_id": "ide-1",
        "model": "m",
        "stream": False,
        "prompt": "code/explain@1+abc",
        "outcome": "completed",
        "status": 200,
        "code": None,
        "finish_reason": "stop",
        "replica": "r1",
        "served_model": "served-m",
        "seconds": 2.0,
        "queue_seconds": 0.25,
        "first_token_seconds": 0.9,
        "tokens": {"prompt": 5, "completion": 2, "cached": 1, "estimated": False},
        "cost": 0.000012,
        "attempts": [
            {"replica": "r0", "result": str(Fault.CONNECT), "seconds": 0.1},
            {"replica": "r1", "result": "ok", "seconds": 1.2},
        ],
        "decisions": [
            {
                "at": 0.5,
                "kind": "choice",
                "replica": "r1",
                "why": "fewest in flight",
                "candidates": ["r0", "r1"],
            }
        ],
        "decisions_dropped": 0,
    }


def test_neither_question_nor_key_nor_the_logs_detail_is_in_it() -> None:
    call = of()
    call.credential = "sk-secret"
    call.body["messages"] = [{"role": "user", "content": "the question"}]
    records = Records(10, PLENTY)
    records.keep(call, Outcome(detail="http://10.0.0.1 said no"))
    (text,) = records.find("ide", "r-1")
    for secret in (b"sk-secret", b"question", b"10.0.0.1"):
        assert secret not in text


def test_a_team_finds_its_own_only() -> None:
    records = Records(10, PLENTY)
    records.keep(of("ide"), DONE)
    assert len(records.find("ide", "r-1")) == 1
    assert records.find("batch", "r-1") == []


def test_calls_that_share_an_id_come_newest_first_and_not_without_end() -> None:
    records = Records(100, PLENTY)
    for number in range(30):
        records.keep(of(model=f"m{number}"), DONE)
    found = [json.loads(text)["model"] for text in records.find("ide", "r-1")]
    assert found == [f"m{number}" for number in range(29, 9, -1)]


def test_only_the_newest_are_kept() -> None:
    records = Records(2, PLENTY)
    for name in ("a", "b", "c"):
        records.keep(of(call_id=name), DONE)
    assert ids(records, "a", "b", "c") == ["b", "c"]
    assert len(records) == 2


def test_their_bytes_are_bounded_too() -> None:
    records = Records(1000, 10_000)
    for number in range(100):
        records.keep(of(call_id=str(number)), DONE)
    assert 0 < len(records) < 30
    assert records.find("ide", "99")
    assert sum(len(records.find("ide", str(n))[0]) for n in range(100 - len(records), 100)) < 10_000


def test_one_call_with_much_to_tell_loses_its_notes_not_its_record() -> None:
    call = of()
    call.record = Record(FakeClock())
    for _ in range(MOST_NOTES + 3):
        call.note("choice", candidates=["r" * 100] * 100)
    records = Records(10, PLENTY)
    records.keep(call, DONE)
    told = json.loads(records.find("ide", "r-1")[0])
    assert told["decisions"] == []
    assert told["decisions_dropped"] == MOST_NOTES + 3


def test_with_0_nothing_is_kept() -> None:
    records = Records(0, PLENTY)
    records.keep(of(), DONE)
    assert len(records) == 0


def test_who_has_no_key_cannot_push_the_others_out() -> None:
    records = Records(2, PLENTY)
    records.keep(of(), DONE)
    for _ in range(5):
        records.keep(of("anonymous"), Outcome(status=401, code="invalid_api_key"))
    assert ids(records, "r-1") == ["r-1"]


@pytest.mark.parametrize("fact", ["\ud800", 1 << 80, object(), {1: 2}])
def test_a_fact_that_is_no_json_does_not_lose_the_record(fact: object) -> None:
    call = of()
    call.record = Record(FakeClock())
    call.note("odd", fact=fact)
    records = Records(10, PLENTY)
    records.keep(call, DONE)
    assert json.loads(records.find("ide", "r-1")[0])["decisions"][0]["kind"] == "odd"


class FakeShared:
    """What other processes share; `available` False: it is gone."""

    def __init__(self) -> None:
        self.available = True
        self.texts: list[tuple[str, str, bytes]] = []

    def put(self, team: str, request_id: str, text: bytes) -> None:
        self.texts.append((team, request_id, text))

    async def find(self, team: str, request_id: str) -> list[bytes]:
        if not self.available:
            raise RecordsUnavailable
        return [text for *key, text in reversed(self.texts) if key == [team, request_id]]


async def test_shared_ones_and_those_here_are_told_together_once_each_newest_first() -> None:
    shared = FakeShared()
    here = Records(10, PLENTY, shared)
    here.keep(of(model="\ud800"), DONE)
    shared.texts.append(shared.texts[0])
    # The last to begin ended first; both in 1970.
    for model, began, seconds in (("a", 10.0, 100.0), ("b", 50.0, 1.0)):
        text = json.dumps(document(of(model=model), Outcome(seconds=seconds), None, began))
        shared.put("ide", "r-1", text.encode())
    told = [
        json.loads(text)["model"]
        for text in await here.look("r-1", ["ide"], here.find("ide", "r-1"))
    ]
    assert told == ["\ud800", "a", "b"]
    assert await here.look("r-1", ["batch"]) == []
    shared.put("batch", "r-1", text.encode())
    teams = [f"t{number}" for number in range(20)]
    assert len(await here.look("r-1", [*teams, "ide", "batch"])) == 3
    assert here.place == "redis"


async def test_where_the_shared_ones_are_gone_those_here_are_told_and_else_the_trouble() -> None:
    shared = FakeShared()
    records = Records(10, PLENTY, shared)
    records.keep(of(), DONE)
    shared.available = False
    own = records.find("ide", "r-1")
    assert await records.look("r-1", ["ide"], own) == own != []
    with pytest.raises(RecordsUnavailable):
        await records.look("r-1", ["batch"])
    assert records.place == "redis unavailable"
    assert Records(10, PLENTY).place == "memory"


def test_an_operator_finds_the_calls_of_every_team_by_their_id() -> None:
    records = Records(10, PLENTY)
    for team, model in (("ide", "a"), ("batch", "b"), ("ide", "c")):
        records.keep(of(team, model=model), DONE)
    records.keep(of("ide", "r-2"), DONE)
    assert {json.loads(text)["team"] for text in records.find_any("r-1")} == {"ide", "batch"}
    assert len(records.find_any("r-1")) == 3
    assert records.find_any("r-3") == []


def test_whether_anything_is_kept_and_shared_can_be_asked() -> None:
    assert (Records(1, PLENTY).kept, Records(0, PLENTY).kept) == (True, False)
    assert (Records(1, PLENTY).shared, Records(1, PLENTY, FakeShared()).shared) == (False, True)


def test_what_was_not_counted_has_no_cost() -> None:
    told = document(of(), DONE, None, 0.0)
    assert (told["tokens"], told["cost"]) == (None, None)
