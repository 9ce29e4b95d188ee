"""Entries, their sums, and the ledger in memory."""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.call import Call, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.ledger import MOST, MOST_CHARS, MemoryLedger, Spent, entry_of, new_uid, total
from gateway.domain.prices import Prices
from gateway.testing.fakes import a_call


def entry(call: Call | None = None, outcome: Outcome | None = None):  # type: ignore[no-untyped-def]
    outcome = outcome or Outcome(OutcomeKind.COMPLETED, 200, usage=Usage(10, 5, 2))
    return entry_of(call or a_call(), outcome, ("uid", 100.0), Prices(), 1)


async def test_the_newest_calls_are_summed_by_what_is_named() -> None:
    ledger = MemoryLedger(most=3)
    for team in ("old", "ide", "ide", "web"):
        ledger.put(replace(entry(), team=team, cost=7))
    assert await ledger.spent(team="ide", since=0.0) == Spent(2, 30, 14)
    assert await ledger.spent(since=0.0) == Spent(3, 45, 21)
    assert await ledger.spent(since=100.1) == Spent()
    assert await ledger.spent(team="ide", model="other", since=0.0) == Spent()


def test_sums_add_up() -> None:
    one = total([entry()], since=0.0)
    assert one + one == Spent(2, 30, 0)


def test_words_of_clients_and_counts_of_replicas_are_held_within_bounds() -> None:
    call = a_call()
    call.id, call.model = "i" * 5000, "m" * 5000
    usage = Usage(1 << 80, -5, 3)
    found = entry(call, Outcome(usage=usage, served_model="s" * 5000))
    assert {len(text) for text in (found.call_id, found.model, found.served_model)} == {MOST_CHARS}
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == (MOST, 0, 3)


def test_a_key_in_the_place_of_a_model_is_not_kept_but_a_model_that_looks_like_one_is() -> None:
    call = a_call()
    call.model = "sk-abcdefghijklmnop"
    assert entry(call).model == "[redacted]"
    assert entry(call, Outcome(replica="r0")).model == "sk-abcdefghijklmnop"


def test_the_prompt_is_told_by_its_text() -> None:
    call = a_call()
    call.prompt = PromptRef("code/explain", "3", "abc123", "b")
    assert entry(call).prompt == "code/explain@3+abc123"


def test_names_sort_by_time() -> None:
    assert new_uid(1.0, b"\xff" * 10) < new_uid(2.0, b"\x00" * 10)
    assert len(new_uid(1_763_000_000.0, b"\x00" * 10)) == 32
