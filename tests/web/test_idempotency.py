"""Idempotency-Key: one answer for a request sent twice, within bounds, and to its caller alone."""

from __future__ import annotations

import pytest

from gateway.domain.call import Caller
from gateway.domain.errors import InvalidRequest
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway
from gateway.web import idempotency
from gateway.web.idempotency import Idempotency, KeyReused, StillRunning
from tests.web.test_assist import NEW, REWRITE, _gateway, ask, events, gateway, mock, replica

__all__ = ["_gateway", "gateway", "mock", "replica"]

TEAM = Caller("ide", "ide-1")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def memory() -> Idempotency:
    return Idempotency(Clock())


def answered(shelf: Idempotency, key: str, answer: bytes = b"said", caller: Caller = TEAM) -> None:
    shelf.ticket(caller, key, "/r", b"body").keep(answer)


def known(shelf: Idempotency, key: str, caller: Caller = TEAM) -> bool:
    ticket = shelf.ticket(caller, key, "/r", b"body")
    ticket.drop()
    return ticket.replay is not None


def test_the_answer_is_told_again() -> None:
    shelf = memory()
    assert shelf.ticket(TEAM, "k", "/r", b"body").replay is None
    shelf = memory()
    answered(shelf, "k")
    assert shelf.ticket(TEAM, "k", "/r", b"body").replay == b"said"


@pytest.mark.parametrize(("route", "body"), [("/r", b"other"), ("/other", b"body")])
def test_another_request_with_the_key_is_refused(route: str, body: bytes) -> None:
    shelf = memory()
    answered(shelf, "k")
    with pytest.raises(KeyReused) as caught:
        shelf.ticket(TEAM, "k", route, body)
    assert caught.value.status == 422


def test_while_the_first_runs_the_second_is_told_to_come_back() -> None:
    shelf = memory()
    first = shelf.ticket(TEAM, "k", "/r", b"body")
    with pytest.raises(StillRunning) as caught:
        shelf.ticket(TEAM, "k", "/r", b"body")
    assert (caught.value.status, caught.value.retry_after) == (409, 1.0)
    first.drop()
    assert not known(shelf, "k")


@pytest.mark.parametrize("caller", [Caller("ide", "ide-2"), Caller("other", "ide-1")])
def test_a_key_is_its_callers_own(caller: Caller) -> None:
    shelf = memory()
    answered(shelf, "k")
    assert not known(shelf, "k", caller)


def test_the_oldest_answers_go_when_there_are_too_many() -> None:
    shelf = memory()
    for number in range(idempotency.MOST_ENTRIES + 1):
        answered(shelf, str(number))
    assert not known(shelf, "0")
    assert known(shelf, str(idempotency.MOST_ENTRIES))


def test_the_bytes_of_a_team_are_bounded() -> None:
    shelf = memory()
    half = b"x" * (idempotency.MOST_BYTES // 2)
    for key in "abc":
        answered(shelf, key, half)
    assert [known(shelf, key) for key in "abc"] == [False, True, True]
    answered(shelf, "d", b"x" * (idempotency.MOST_BYTES + 1))
    assert not known(shelf, "d")


def test_other_teams_lose_nothing_by_it_and_teams_are_bounded_too() -> None:
    shelf = memory()
    answered(shelf, "k", caller=Caller("quiet", "q"))
    for number in range(idempotency.MOST_ENTRIES * 2):
        answered(shelf, str(number))
    assert known(shelf, "k", Caller("quiet", "q"))
    for number in range(idempotency.MOST_TEAMS):
        answered(shelf, "k", caller=Caller(f"t{number}", "t"))
    assert not known(shelf, "k", Caller("quiet", "q"))


def test_after_a_day_a_key_is_forgotten() -> None:
    clock = Clock()
    shelf = Idempotency(clock)
    answered(shelf, "k")
    clock.now = idempotency.KEPT_S + 1
    assert not known(shelf, "k")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(key: str) -> None:
    with pytest.raises(InvalidRequest, match="255") as caught:
        memory().ticket(TEAM, key, "/r", b"")
    assert caught.value.status == 400


# ---- Through a socket ----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["rewrite", "rewrite/stream"])
def test_a_request_sent_twice_costs_one_answer(
    gateway: ServedGateway, mock: MockVLLM, path: str
) -> None:
    mock.script(Behaviour(text=NEW))
    key = {"idempotency-key": f"twice-{path}"}
    first, second = (ask(gateway, path, REWRITE, **key) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.text == second.text
    assert second.headers["x-gateway-attempts"] == "0"
    assert len(mock.requests("/v1/chat/completions")) == 1
    if path.endswith("stream"):
        assert events(second)[-1] == ("", "[DONE]")
    other = ask(gateway, path, {**REWRITE, "instruction": "another"}, **key)
    assert other.status_code == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"


def test_a_request_that_failed_may_be_sent_again_with_its_key(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    key = {"idempotency-key": "failed"}
    wrong = ask(gateway, "rewrite", {**REWRITE, "instruction": ""}, **key)
    assert wrong.status_code == 422
    mock.script(Behaviour(text=NEW))
    assert ask(gateway, "rewrite", REWRITE, **key).status_code == 200
