"""What a call holds comes back exactly once, the last first, whatever one of them does."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from gateway.domain.call import Outcome
from gateway.domain.holds import Holds

END = Outcome()


async def test_all_is_given_back_the_last_first_with_the_calls_outcome() -> None:
    told: list[tuple[str, Outcome]] = []

    async def first(outcome: Outcome) -> None:
        told.append(("first", outcome))

    async def second(outcome: Outcome) -> None:
        told.append(("second", outcome))

    holds = Holds()
    holds.add(first)
    holds.take(lambda: told.append(("slot", END)))
    holds.add(second)
    await holds.release(END)
    await holds.release(Outcome(status=1))
    assert told == [("second", END), ("slot", END), ("first", END)]
    assert not holds


async def test_what_was_given_back_earlier_is_not_given_back_again() -> None:
    told: list[str] = []
    holds = Holds()
    hold = holds.take(lambda: told.append("slot"))
    hold.give_back()
    hold.give_back()
    assert len(holds) == 0
    await holds.release(END)
    assert told == ["slot"]


async def test_one_that_raises_is_logged_and_keeps_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[str] = []

    async def fine(outcome: Outcome) -> None:
        told.append("fine")

    async def breaks(outcome: Outcome) -> None:
        raise ValueError("broken")

    holds = Holds()
    holds.add(fine)
    holds.take(lambda: [].pop())
    holds.add(breaks)
    with caplog.at_level(logging.ERROR, "gateway.holds"):
        await holds.release(END)
    assert told == ["fine"]
    assert len(caplog.records) == 2


async def test_a_cancellation_comes_out_after_all_the_others_were_given_back() -> None:
    told: list[str] = []

    async def fine(outcome: Outcome) -> None:
        told.append("fine")

    async def cancelled(outcome: Outcome) -> None:
        raise asyncio.CancelledError

    holds = Holds()
    holds.add(fine)
    holds.add(cancelled)
    with pytest.raises(asyncio.CancelledError):
        await holds.release(END)
    assert told == ["fine"]


async def test_nothing_can_be_held_for_a_call_that_is_over() -> None:
    async def late(outcome: Outcome) -> None:
        raise AssertionError

    holds = Holds()
    await holds.release(END)
    with pytest.raises(RuntimeError, match="over"):
        holds.add(late)


def test_a_hold_that_was_given_back_keeps_nothing_alive() -> None:
    class Thing:
        pass

    gc.collect()
    gc.disable()
    try:
        holds, thing = Holds(), Thing()
        hold = holds.take(lambda thing=thing: None)  # type: ignore[misc]
        thing.hold = hold  # type: ignore[attr-defined]
        hold.give_back()
        del holds, thing, hold
        assert not [one for one in gc.get_objects() if isinstance(one, Thing)]
    finally:
        gc.enable()
