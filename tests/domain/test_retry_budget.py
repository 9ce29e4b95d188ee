"""Retries and hedges are a share of the requests, and a fleet in trouble is not asked again."""

from __future__ import annotations

from gateway.domain.retry_budget import HedgeBudget, RetryBudget
from gateway.testing.fakes import FakeClock


def test_a_single_failing_request_may_be_retried_three_times() -> None:
    budget = RetryBudget(0.1, 3, FakeClock())
    budget.request()
    assert all(budget.spend() for _ in range(3))


def test_of_many_requests_a_tenth_may_be_retries() -> None:
    budget = RetryBudget(0.1, 3, FakeClock())
    for _ in range(1000):
        budget.request()
    assert sum(budget.spend() for _ in range(1000)) == 100


def test_the_floor_is_so_many_a_second() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.0, 3, clock)
    for second in range(10):
        clock.now = float(second)
        assert sum(budget.spend() for _ in range(1000)) == 3, "and no more at once"


def test_the_floor_adds_nothing_to_a_share_that_is_more() -> None:
    clock = FakeClock()
    budget, spent = RetryBudget(0.1, 3, clock), 0
    for second in range(60):
        clock.now = float(second)
        for _ in range(40):
            budget.request()
            spent += sum(budget.spend() for _ in range(3))
    assert spent <= 0.1 * 60 * 40


def test_what_was_spent_stays_spent_when_the_rule_changes() -> None:
    budget = RetryBudget(1.0, 0, FakeClock())
    for _ in range(10):
        budget.request()
    assert all(budget.spend() for _ in range(5))
    budget.adopt(0.5, 0)
    assert not budget.spend()
    budget.adopt(0.6, 0)
    assert [budget.spend(), budget.spend()] == [True, False]


def test_what_was_spent_comes_back_after_ten_seconds() -> None:
    clock = FakeClock(5.0)
    budget = RetryBudget(0.5, 0, clock)
    for _ in range(4):
        budget.request()
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    clock.now = 15.0
    assert not budget.spend(), "the requests are forgotten as the retries are"
    budget.request()
    budget.request()
    assert budget.spend()


def test_without_share_and_floor_nothing_is_retried() -> None:
    assert not RetryBudget(0.0, 0, FakeClock()).spend()


def test_hedges_are_saved_up_by_requests_and_no_more_than_ten() -> None:
    budget = HedgeBudget(0.02)
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(51):  # fifty, but for rounding
        budget.request()
    assert [budget.spend(), budget.spend()] == [True, False]
    for _ in range(10_000):
        budget.request()
    assert sum(budget.spend() for _ in range(100)) == 10


def test_what_is_retried_in_any_case_is_missing_later() -> None:
    clock = FakeClock()
    budget = RetryBudget(0.1, 0, clock)
    for _ in range(100):
        budget.request()
    for _ in range(10):
        budget.take()
    assert not budget.spend()
    for _ in range(10):
        budget.request()
    assert budget.spend()


def test_what_was_saved_for_hedges_is_kept_when_the_share_changes() -> None:
    budget = HedgeBudget(0.5)
    assert budget.spend()
    budget.adopt(0.9)
    assert not budget.spend()
    budget.adopt(0.0)
    budget.adopt(0.5)
    assert budget.spend(), "one is there from the start"


def test_without_a_share_nothing_is_hedged() -> None:
    assert not HedgeBudget(0.0).spend()
