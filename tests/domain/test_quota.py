"""Rules of limits: whom they count together, how much for whom, and what a call uses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, Usage
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint
from gateway.domain.fixed import Alone
from gateway.domain.quota import (
    Counts,
    Quota,
    amount_for,
    at_most,
    bounded,
    counted,
    expected,
    reached,
)


class Rule(Quota):
    calls: Counts


def a_call(body: dict[str, Any] | None = None, team: str = "ide", key: str = "k1") -> Call:
    return Call("c", CHAT, "qwen", body or {}, 0.0, 60.0, caller=Caller(team, key))


def rule(per: object = "team", calls: object = 5) -> Rule:
    return Rule.model_validate({"per": per, "calls": calls})


def test_calls_of_the_same_names_share_an_account_and_no_others_do() -> None:
    both = rule(["team", "model"])
    accounts = {both.account("p", both.names(a_call(team=team))) for team in ("ide", "ide", "ops")}
    assert len(accounts) == 2
    assert rule([]).account("p", ()) == "p"
    odd = Rule(per=("team", "model"), calls={"default": 1})
    one, other = (odd.account("p", names) for names in (("a|model=1:b", "c"), ("a", "b|model=1:c")))
    assert one != other, "names may hold whatever separates them"


def test_a_user_nobody_vouches_for_is_the_keys() -> None:
    assert rule("user").names(a_call(key="k1")) != rule("user").names(a_call(key="k2"))
    assert rule("user").ledger_words(("u",)) is None
    assert rule(["key", "model"]).ledger_words(("k", "m")) == {"key_id": "k", "model": "m"}


@pytest.mark.parametrize(
    ("amounts", "names", "amount"),
    [
        (7, ("ide",), 7),
        ({"ide": 100, "default": 20}, ("ide",), 100),
        ({"ide": 100, "default": 20}, ("ops",), 20),
        ({"i*": 1, "ide": 100, "default": 20}, ("ide",), 100),
        ({"i*": 1, "default": 20}, ("ide",), 1),
        ({"ide/qwen*": 3, "default": None}, ("ide", "qwen-7b"), 3),
        ({"ide/qwen*": 3, "default": None}, ("ops", "qwen-7b"), None),
        ({"default": 20}, ("default",), 20),
        (1e6, ("ide",), 1_000_000),
    ],
)
def test_the_number_is_that_of_the_name_then_of_a_glob_then_the_default(
    amounts: Any, names: tuple[str, ...], amount: int | None
) -> None:
    assert amount_for(rule(calls=amounts).calls, names) == amount


@pytest.mark.parametrize("wrong", [-1, "5", True, 0.5, {"ide": 5}, {"default": "x"}, float("inf")])
def test_what_is_no_number_is_a_mistake(wrong: object) -> None:
    with pytest.raises(ValidationError):
        rule(calls=wrong)


def text(says: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": says}]}


def test_an_answer_may_take_what_the_request_asks_for() -> None:
    assert expected(a_call({"max_tokens": 7}), 1000).completion == 7
    assert expected(a_call({"max_completion_tokens": 9, "max_tokens": 7}), 1000).completion == 9
    assert expected(a_call({}), 1000).completion == 1000
    assert expected(a_call({"max_completion_tokens": -1}), 1000).completion == 1000
    assert expected(a_call({"n": 3, "max_tokens": 7}), 1000).completion == 21
    batch = replace(a_call({"prompt": ["a", "b"], "max_tokens": 5}), endpoint=COMPLETIONS)
    assert expected(batch, 1000).completion == 10
    ids = replace(a_call({"prompt": [1, 2, 3], "max_tokens": 5}), endpoint=COMPLETIONS)
    assert expected(ids, 1000).completion == 5
    vector = replace(a_call({"input": "x"}), endpoint=EMBEDDINGS)
    assert expected(vector, 1000).completion == 0


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("other", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_a_small_bound_hides_no_large_one_of_another_name(endpoint: Endpoint, other: str) -> None:
    small = dict.fromkeys(("max_tokens", "max_completion_tokens", "n_predict"), 1)
    asked = replace(a_call({**small, other: 9000}), endpoint=endpoint)
    assert expected(asked, 1000).completion == 9000


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [(CHAT, "n_predict"), (COMPLETIONS, "n_predict"), (COMPLETIONS, "max_completion_tokens")],
)
def test_a_bound_that_an_engine_may_not_know_makes_nothing_smaller(
    endpoint: Endpoint, name: str
) -> None:
    assert expected(replace(a_call({name: 1}), endpoint=endpoint), 1000).completion == 1000


@pytest.mark.parametrize(
    ("says", "tokens"), [("the quick brown fox " * 40, 160), ("안녕하세요 여러분 " * 20, 160)]
)
def test_a_prompt_is_rather_guessed_too_long_than_too_short(says: str, tokens: int) -> None:
    assert tokens <= expected(a_call(text(says)), 0).prompt <= 2.5 * tokens


@pytest.mark.parametrize(
    ("body", "window", "tokens"),
    [
        ({}, 4096, 4096),
        ({}, None, 1000),
        ({"n": 2}, 4096, 8192),
        ({"max_tokens": 7}, 4096, 7),
        ({"n_predict": 7}, 4096, 4096),
        ({"max_tokens": -1}, 4096, 4096),
    ],
)
async def test_an_answer_that_nobody_bounds_may_fill_the_window(
    body: dict[str, Any], window: int | None, tokens: int
) -> None:
    assert (await at_most(a_call(body), Alone(window), 1000)).completion == tokens


async def test_what_does_not_answer_in_tokens_has_no_bound_to_name() -> None:
    vector = replace(a_call({"input": "x"}), endpoint=EMBEDDINGS)
    assert bounded(vector)
    assert (await at_most(vector, Alone(4096), 1000)).completion == 0


RESERVED = Usage(10, 90)
OK = (Attempt("r0", "ok", 0.1),)


@pytest.mark.parametrize(
    ("outcome", "used"),
    [
        (Outcome(OutcomeKind.COMPLETED, usage=Usage(3, 4), attempts=OK), Usage(3, 4)),
        (Outcome(OutcomeKind.COMPLETED, attempts=OK), RESERVED),
        (Outcome(OutcomeKind.CANCELLED, attempts=OK), RESERVED),
        (Outcome(OutcomeKind.FAILED, attempts=(Attempt("r0", "timeout", 1.0),)), Usage()),
        (Outcome(OutcomeKind.REFUSED), Usage()),
    ],
)
def test_tokens_nobody_told_are_those_reserved_where_an_answer_began(
    outcome: Outcome, used: Usage
) -> None:
    assert counted(outcome, RESERVED) == used


def test_a_call_that_was_refused_before_any_replica_heard_of_it_counts_for_nothing() -> None:
    assert not reached(Outcome(OutcomeKind.REFUSED))
    assert reached(Outcome(OutcomeKind.REFUSED, attempts=OK))
    assert reached(Outcome(OutcomeKind.FAILED))
