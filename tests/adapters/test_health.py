"""Health: probes that a real server answers, or not; loads; and every change told."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.adapters.health import Health, HealthRule
from gateway.adapters.replica_states import ReplicaStates
from gateway.adapters.rounds import Pace
from gateway.adapters.transport import AiohttpWire
from gateway.domain.ports import Replica
from gateway.domain.standing import State
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet

QUICK = HealthRule(probe=Pace(0.05, 0.2), within=0.5, poll=Pace(0.05, 0.2))


class One:
    """A fleet of two names of one server."""

    def __init__(self, url: str, *, wants: bool = False) -> None:
        self._every = [Replica(name, name, name, url) for name in ("a", "b")]
        self._wants = wants

    def every(self) -> list[Replica]:
        return self._every

    def load_of(self, replica: Replica) -> int:
        return 0

    def wants_loads(self) -> bool:
        return self._wants

    async def cooling(self) -> set[str]:
        return set()


class Watched:
    """The states, and what was told of replica a."""

    def __init__(self) -> None:
        self.told: list[State | None] = []
        self.changed = asyncio.Event()
        self.states = ReplicaStates(time.monotonic, told=self._hear)

    def _hear(self, replica: str, was: State | None, now: State | None) -> None:
        if replica == "a":
            self.told.append(now)
        self.changed.set()

    async def until(self, state: State) -> None:
        async with asyncio.timeout(5):
            while not self.told or self.told[-1] is not state:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def watching(fleet: One, rule: HealthRule = QUICK) -> AsyncIterator[Watched]:
    watched = Watched()
    async with AiohttpWire(connect=1.0) as wire:
        health = Health(
            fleet, watched.states, wire, rule, clock=time.monotonic, random=random.random
        )
        async with health.watching():
            yield watched


async def test_a_server_that_fails_probes_is_out_and_comes_back_on_trial(
    mock_vllm: MockVLLM,
) -> None:
    async with watching(One(mock_vllm.base_url)) as watched:
        await watched.until(State.HEALTHY)
        mock_vllm.script(Behaviour(path="/health", status=503))
        await watched.until(State.UNHEALTHY)
        assert watched.states.of("b").why == "GET /health: 503"
        mock_vllm.script()
        await watched.until(State.HALF_OPEN)
        watched.states.of("a").attempt_passed(time.monotonic())
        await watched.until(State.HEALTHY)
    assert watched.told == [State.HEALTHY, State.UNHEALTHY, State.HALF_OPEN, State.HEALTHY]


async def test_a_frozen_server_is_found_out(mock_vllm: MockVLLM) -> None:
    rule = HealthRule(probe=Pace(0.05, 0.2), within=0.1)
    async with watching(One(mock_vllm.base_url), rule) as watched:
        await mock_vllm.settled(1, path="/health")
        mock_vllm.freeze()
        await watched.until(State.UNHEALTHY)
        assert "no answer within 0.1 s" in watched.states.of("a").why
        mock_vllm.thaw()
        await watched.until(State.HALF_OPEN)


async def test_two_names_of_one_server_are_one_probe_and_the_pace_is_kept(
    mock_vllm: MockVLLM,
) -> None:
    async with watching(One(mock_vllm.base_url)):
        probes = await mock_vllm.settled(8, path="/health")
    times = [one.arrived for one in probes]
    assert times[-1] - times[0] >= 0.04 * (len(times) - 1) * 0.9


async def test_nobody_is_asked_where_probes_are_off_and_no_strategy_wants_loads(
    mock_vllm: MockVLLM,
) -> None:
    off = HealthRule(probe=None)
    async with watching(One(mock_vllm.base_url), off) as watched:
        await watched.until(State.HEALTHY)
        await asyncio.sleep(0.1)  # that nothing happens sets no event
    assert mock_vllm.requests() == []


@pytest.mark.parametrize(
    ("wants", "always", "attended"),
    [(True, False, False), (False, True, False), (False, False, True)],
    ids=["by a strategy", "always", "while somebody looks"],
)
async def test_loads_are_polled_where_they_are_wanted(
    mock_vllm: MockVLLM, wants: bool, always: bool, attended: bool
) -> None:
    mock_vllm.load(waiting=4, kv_cache_usage=0.5)
    rule = HealthRule(probe=None, poll=Pace(0.02, 0.2), always=always)
    async with watching(One(mock_vllm.base_url, wants=wants), rule) as watched:
        if attended:
            watched.states.attend(60)
        await mock_vllm.settled(3, path="/metrics")
        await _until(lambda: watched.states.load("b") is not None)
        load = watched.states.load("b")
    assert load is not None
    assert (load.waiting, load.kv) == (4.0, 0.5)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(("name", "heard"), [("a", ["a"]), ("b", [])])
async def test_who_waits_for_a_server_that_goes_down_hears_of_it_where_there_is_another(
    mock_vllm_factory: MockFleet, name: str, heard: list[str]
) -> None:
    dead, alive = mock_vllm_factory(), mock_vllm_factory()
    fleet = One(dead.base_url)
    fleet._every = [
        Replica("a", "m", "m", dead.base_url),
        Replica("b", "alone", "m", dead.base_url),
        Replica("c", "m", "m", alive.base_url),
    ]
    told: list[str] = []
    async with watching(fleet) as watched:
        await watched.until(State.HEALTHY)
        watched.states.watch(name, lambda: told.append(name))
        dead.script(Behaviour(path="/health", status=503))
        await watched.until(State.UNHEALTHY)
    assert told == heard
