"""Rounds keep their pace, never visit a place twice at once, and follow what places there are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from gateway.adapters.rounds import Pace, Rounds
from gateway.domain.errors import GatewayError

QUICK = Pace(0.05, 0.2)


class Visits:
    """Remembers when each place was visited; `hold` keeps a visit from ending."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = defaultdict(list)
        self.hold: dict[str, asyncio.Event] = {}
        self.changed = asyncio.Event()

    async def __call__(self, place: str) -> None:
        self.at[place].append(time.monotonic())
        self.changed.set()
        if place in self.hold:
            await self.hold[place].wait()
        if place == "unreachable":
            raise GatewayError(detail="no descriptor is left")
        if place == "broken":
            raise RuntimeError("a visit that nobody thought of")

    async def reach(self, place: str, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.at[place]) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def going(places: dict[str, str], visits: Visits) -> Any:
    rounds = Rounds(lambda: places, visits, QUICK, clock=time.monotonic, random=lambda: 0.0)
    task = asyncio.create_task(rounds.run())
    try:
        yield rounds
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_place_is_visited_no_sooner_than_the_pace_allows() -> None:
    visits = Visits()
    async with going({"a": "a"}, visits):
        await visits.reach("a", 6)
    gaps = [later - sooner for sooner, later in pairwise(visits.at["a"])]
    assert min(gaps) >= QUICK.interval * (1 - QUICK.jitter) * 0.99


async def test_a_slow_visit_is_not_begun_again_and_holds_up_no_other() -> None:
    visits = Visits()
    visits.hold["slow"] = asyncio.Event()
    async with going({"slow": "slow", "a": "a"}, visits):
        await visits.reach("a", 5)
        assert len(visits.at["slow"]) == 1
        visits.hold["slow"].set()
        await visits.reach("slow", 2)


async def test_places_may_come_and_go() -> None:
    visits, places = Visits(), {"a": "a"}
    async with going(places, visits):
        await visits.reach("a", 2)
        del places["a"]
        places["b"] = "b"
        await visits.reach("b", 3)
        seen = len(visits.at["a"])
        await visits.reach("b", 5)
        assert len(visits.at["a"]) == seen


async def test_a_visit_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    visits = Visits()
    with caplog.at_level(logging.ERROR):
        async with going({"broken": "broken"}, visits):
            await visits.reach("broken", 3)
    assert "the visit to broken failed" in caplog.text


async def test_a_visit_that_could_not_be_made_is_told_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    visits = Visits()
    async with going({"unreachable": "unreachable"}, visits):
        await visits.reach("unreachable", 2)
    (first, *_) = caplog.records
    assert (first.levelname, first.exc_info) == ("WARNING", None)
    assert "no descriptor is left" in first.getMessage()


async def test_at_the_end_visits_under_way_end_too() -> None:
    visits = Visits()
    visits.hold["slow"] = asyncio.Event()
    async with going({"slow": "slow"}, visits):
        await visits.reach("slow", 1)
    assert len(asyncio.all_tasks()) == 1
