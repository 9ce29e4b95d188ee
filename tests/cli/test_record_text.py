"""A decision record in words: every kind of decision, and what nobody here knows."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.adapters.records import document
from gateway.cli.record_text import lines_of
from gateway.domain.call import Attempt, Caller, Outcome, OutcomeKind, Usage
from gateway.domain.record import Record
from gateway.testing.fakes import FakeClock, a_call


def record(*notes: tuple[str, dict[str, Any]], **outcome: Any) -> dict[str, Any]:
    clock, call = FakeClock(), a_call(stream=True)
    call.caller, call.record = Caller("ide", "ide-1"), Record(clock)
    for kind, facts in notes:
        clock.now += 0.5
        call.note(kind, **facts)
    usual = {"kind": OutcomeKind.COMPLETED, "status": 200, "seconds": 2.0, "replica": "r1"}
    return document(call, Outcome(**{**usual, **outcome}), "f" * 32, 0.0)


def text(*notes: tuple[str, dict[str, Any]], **outcome: Any) -> str:
    return "\n".join(lines_of(record(*notes, **outcome)))


def test_the_head_says_what_became_of_whose_call_and_where_its_trace_is() -> None:
    told = text(served_model="served-m", first_token_seconds=0.25, finish_reason="stop")
    assert told.startswith("req-1: completed (200); 2.000 s in all\n")
    assert "/v1/chat/completions, as stream, at 1970-01-01T00:00:00.000Z" in told
    assert "team ide, key ide-1" in told
    assert "model     m, served as served-m" in told
    assert f"trace     {'f' * 32}" in told
    assert "Times: queue 0.000 s, first token after 0.250 s, finish_reason stop" in told


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        (
            "policy",
            {"policy": "allowlist", "decision": "refused", "seconds": 0.00002},
            "policy allowlist: refused (0.02 ms)",
        ),
        (
            "queued",
            {"priority": "normal", "waiting": 3, "ahead": 2, "running": 12},
            "queued as normal: 2 ahead of it, 3 waiting, 12 running",
        ),
        ("slot", {"waited": 0.5}, "a slot after 0.500 s"),
        (
            "choice",
            {"model": "m", "replica": "r0", "why": "the only one", "candidates": ["r0", "r1"]},
            "chose r0 for m of r0, r1: the only one",
        ),
        (
            "attempt",
            {"replica": "r0", "result": "connect_error", "seconds": 0.1},
            "r0 could not be reached (connect_error, 0.100 s)",
        ),
        (
            "hedge",
            {"first": "r0", "second": "r1", "after": 1.5},
            "r0 was slow (1.500 s): r1 was asked too",
        ),
        ("fallback", {"model": "n", "after": "timeout"}, "fell back to model n after timeout"),
        (
            "hand_over",
            {"from": "r0", "to": "r1", "result": "continued", "fault": "truncated", "tokens": 7},
            "hand-over from r0 to r1: continued (truncated), 7 tokens had come",
        ),
        (
            "hand_over",
            {"from": "r0", "result": "unsafe", "fault": "timeout", "why": "a tool call"},
            "hand-over from r0: unsafe (timeout): a tool call",
        ),
        (
            "refused",
            {"why": "queue_full", "retry_after": 2.0},
            "no slot: queue_full; told to try again in 2.0 s",
        ),
        (
            "retry_budget",
            {"spent": True, "after": "timeout"},
            "no other attempt after timeout: the retry budget was spent",
        ),
        (
            "window",
            {"model": "m", "window": 100, "tokens": 120},
            "120 tokens do not fit m's window of 100",
        ),
        ("injection", {"score": 3, "rules": ["a"]}, "injection: score=3 rules=['a']"),
        ("slot", {"since": 3}, "slot: since=3"),
    ],
)
def test_each_decision_is_a_sentence_and_an_unknown_one_its_facts(
    kind: str, facts: dict[str, Any], said: str
) -> None:
    assert f"     0.500  {said}\n" in text((kind, facts)) + "\n"


def test_each_attempt_says_which_replica_and_how_it_went() -> None:
    made = (Attempt("gpu-long", "server_error", 0.1), Attempt("b", "ok", 1.2))
    told = text(attempts=made)
    assert "  1  gpu-long  0.100 s  server_error: had an error of its own (5xx)\n" in told
    assert "  2  b         1.200 s  ok: answered\n" in told


def test_tokens_and_cost_are_told_as_far_as_anybody_has_counted() -> None:
    assert "Tokens: none were counted" in text()
    assert "Cost" not in text()
    told = record(usage=Usage(5, 2, 3)) | {"cost": 0.00012}
    assert list(lines_of(told))[-2:] == [
        "Tokens: 5 in (3 of them cached), 2 out",
        "Cost: 0.00012 (in prices.currency)",
    ]
    guess = record(usage=Usage(5, 2, estimated=True)) | {"cost": 0.0}
    assert list(lines_of(guess))[-2:] == [
        "Tokens: 5 in, 2 out (our guess: the replica had not told)",
        "Cost: 0: the model has no price",
    ]


def test_a_call_that_runs_says_where_it_stands() -> None:
    told = record() | {"outcome": "running", "phase": "queued", "status": None}
    lines = list(lines_of(told))
    assert lines[:2] == [
        "req-1: running; 2.000 s so far",
        "  now       it waits for a slot",
    ]
    assert "No replica has been done with yet." in lines
    assert lines[-1] == "Tokens: nobody has told"


def test_a_call_that_got_nowhere_and_decisions_that_were_not_kept_are_told() -> None:
    assert "nothing: it did not get that far" in text()
    assert "No replica was tried." in text(replica="")
    assert "and 3 more, which were not kept" in "\n".join(
        lines_of(record() | {"decisions_dropped": 3})
    )
