"""Watches the replicas for as long as the gateway runs: asks them for a sign of life and for their
load, slowly, and tells each change of state once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from gateway.adapters.replica_states import Fleet, ReplicaStates
from gateway.adapters.rounds import Pace, Rounds
from gateway.adapters.servers import Server, load, probe, servers_of
from gateway.domain.ports import Replica, Wire

# How often a cooldown's end is looked for, to tell it; /readyz and /metrics look themselves.
_LOOK = Pace(1.0, 0.1)
_PROBE = Pace(5.0, 0.2)
_POLL = Pace(2.0, 0.2)


@dataclass(frozen=True, slots=True)
class HealthRule:
    """`probe` None: nobody is probed. A replica leaves after `unhealthy_after` probes in a row
    without a good answer `within` seconds. Loads are asked for while a strategy or somebody looks
    at them, or `always`."""

    probe: Pace | None = _PROBE
    within: float = 2.0
    unhealthy_after: int = 2
    poll: Pace = _POLL
    always: bool = False


class Health:
    """Use as `async with health.watching():`. `random` is in [0, 1)."""

    def __init__(
        self,
        fleet: Fleet,
        states: ReplicaStates,
        wire: Wire,
        rule: HealthRule,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._states = states
        self._wire = wire
        self._rule = rule
        self._clock = clock
        self._random = random

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """All rounds go on inside this block."""
        rule = self._rule
        rounds = [
            self._rounds(lambda: {"states": None}, self._tell, _LOOK),
            self._rounds(self._loaded, self._poll, rule.poll),
        ]
        if rule.probe is not None:
            rounds.append(self._rounds(self._servers, self._probe, rule.probe))
        tasks = [asyncio.create_task(one.run()) for one in rounds]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _rounds(self, places: Any, visit: Any, pace: Pace) -> Rounds[Any]:
        return Rounds(places, visit, pace, clock=self._clock, random=self._random)

    def _servers(self) -> dict[str, Server]:
        return servers_of(self._fleet.every())

    def _loaded(self) -> dict[str, Server]:
        wanted = self._rule.always or self._states.attended or self._fleet.wants_loads()
        return self._servers() if wanted else {}

    async def _probe(self, server: Server) -> None:
        why = await probe(self._wire, server, self._rule.within)
        now = self._clock()
        for replica in server.replicas:
            standing = self._states.of(replica.id)
            if not why:
                standing.probe_passed(now)
                continue
            was = standing.health
            standing.probe_failed(now, why, self._rule.unhealthy_after)
            if standing.health is not was and self._has_mates(replica):
                self._states.went_down(replica.id)
        await self._states.look(self._fleet)

    def _has_mates(self, replica: Replica) -> bool:
        """Whether its requests could go elsewhere."""
        mates = (one for one in self._fleet.every() if one.model == replica.model)
        return any(self._states.in_rotation(one.id) for one in mates if one.id != replica.id)

    async def _poll(self, server: Server) -> None:
        said = await load(self._wire, server, self._rule.within, self._clock())
        for replica in server.replicas:
            self._states.heard(replica.id, said)

    async def _tell(self, _: object) -> None:
        await self._states.look(self._fleet)
