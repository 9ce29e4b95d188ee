"""Budgets: what is kept for the answer, and shares that nobody exceeds and nothing is lost from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.budget import (
    SHARES,
    Budget,
    ContextTooLarge,
    explain_reserve,
    level,
    rewrite_reserve,
    share_out,
)

amounts = st.integers(0, 10_000)


@pytest.mark.parametrize(
    ("selection", "limit", "kept"),
    [(0, 4096, 256), (98, 4096, 256), (100, 4096, 258), (1000, 4096, 1428), (9000, 4096, 4096)],
)
def test_a_rewrite_keeps_a_third_more_than_the_selection(
    selection: int, limit: int, kept: int
) -> None:
    assert rewrite_reserve(selection, limit) == kept


def test_a_model_that_may_say_little_bounds_the_reserve() -> None:
    assert rewrite_reserve(10, 100) == 100


@pytest.mark.parametrize(("window", "kept"), [(32768, 1024), (4096, 1024), (2048, 512), (256, 64)])
def test_an_explanation_takes_a_quarter_of_a_small_window(window: int, kept: int) -> None:
    assert explain_reserve(window) == kept


def test_what_is_available_is_never_negative() -> None:
    assert Budget(100, 300).available == 0


def test_the_shares_are_a_whole() -> None:
    assert sum(SHARES.values()) == pytest.approx(1)


@given(st.dictionaries(st.sampled_from(sorted(SHARES)), amounts), amounts)
def test_shares_use_all_there_is_and_no_more(demands: dict[str, int], free: int) -> None:
    found = share_out(demands, free)
    assert sum(found.values()) == min(sum(demands.values()), free)
    for name, size in found.items():
        assert size <= demands.get(name, 0)
        assert size >= min(demands.get(name, 0), int(SHARES[name] * free))


def test_unused_shares_go_to_the_file_first() -> None:
    assert share_out({"file": 900, "related": 900}, 1000)["related"] == 250
    assert share_out({"file": 100, "related": 900}, 1000)["related"] == 900


@given(st.lists(amounts, max_size=8), amounts)
def test_a_level_share_is_fair(demands: list[int], room: int) -> None:
    found = level(demands, room)
    assert sum(found) == min(sum(demands), room)
    short = [got for got, wanted in zip(found, demands, strict=True) if got < wanted]
    assert all(got <= wanted for got, wanted in zip(found, demands, strict=True))
    assert not short or max(short) - min(short) <= 1
    assert not short or max(found) <= max(short) or min(short) >= max(found) - 1


def test_the_error_tells_all_numbers_and_what_to_do() -> None:
    error = ContextTooLarge(5120, Budget(4096, 1024), {"prompt": 150, "selection": 4970})
    assert (error.status, error.code, error.param) == (413, "context_too_large", "selection")
    assert (error.needed, error.available, error.window, error.reserve) == (5120, 3072, 4096, 1024)
    assert error.public == (
        "The request needs 5120 tokens (prompt 150, selection 4970), but the model has 3072: "
        "its window of 4096 less 1024 for the answer. "
        "Select less, or use a model with a larger window."
    )
