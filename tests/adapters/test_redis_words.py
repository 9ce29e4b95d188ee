"""Words for Redis: names that are safe anywhere, and balances read back."""

from __future__ import annotations

from gateway.adapters.redis_words import (
    balance_of,
    balance_words,
    balances,
    claim_words,
    settle_words,
)
from gateway.domain.counters import Balance, Claim, Window

WINDOW = Window(bucket=100, span=6, seconds=10.0)
NAME = balance_words("a", None, WINDOW)[0]


async def seed() -> int:
    return 3


def test_a_claim_says_whether_it_can_be_seeded_and_with_what() -> None:
    bare, seeded = Claim("a", 2, None, WINDOW), Claim("a", 2, 9, WINDOW, seed)
    assert claim_words([bare], {}) == [NAME, 2, "", 100, 6, 130_000, ""]
    assert claim_words([seeded], {}) == [NAME, 2, 9, 100, 6, 130_000, "?"]
    assert claim_words([seeded], {"a": 3}) == [NAME, 2, 9, 100, 6, 130_000, 3]


def test_a_settlement_says_what_was_used_and_never_less_than_nothing() -> None:
    claims = [Claim("a", 2, None, WINDOW), Claim("a", 2, 9, WINDOW, seed)]
    assert settle_words(claims[:1], {}) == [NAME, 0, "", 100, 6, 130_000, ""]
    assert settle_words(claims[1:], {"a": -4}) == [NAME, 0, 9, 100, 6, 130_000, "1"]


def test_no_number_is_more_than_redis_can_count() -> None:
    huge = Claim("a", 1 << 70, None, WINDOW, seed)
    most = (1 << 53) - 1
    assert claim_words([huge], {"a": 1 << 64}) == [NAME, most, "", 100, 6, 130_000, most]
    assert settle_words([huge], {"a": 1 << 64})[1] == most


def test_a_name_is_of_one_length_and_holds_nothing_of_its_own() -> None:
    names = [balance_words(name, 1, WINDOW)[0] for name in ("", "a b;c", "\ud800", "x" * 9999)]
    assert all(isinstance(name, str) and len(name) == 32 and name.isalnum() for name in names)
    assert len({*names}) == 4


def test_balances_are_read_back() -> None:
    assert balance_of("7 2 98", 9, WINDOW) == Balance(7, 2, 9, 40.0)
    assert balances([Claim("a", 1, None, WINDOW)], ["0 1 -"]) == {"a": Balance(0, 1, None, 0.0)}


def test_an_account_of_running_calls_is_kept_for_a_minute_at_least() -> None:
    assert claim_words([Claim("a", 1, 2, Window(0, 0, 1.0))], {})[5] == 60_000
