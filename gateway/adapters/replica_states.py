"""What this gateway has found out about each replica, and what an operator has decided: drained,
healthy, on trial; how loaded; and one word for all of it. Outlives a reload of the configuration.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gateway.domain.ports import Replica
from gateway.domain.replica_load import ReplicaLoad
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard, Standing, State

_log = logging.getLogger("gateway.replicas")


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One replica as /readyz and /admin/replicas show it. `seconds` since it is in this state;
    `waiting` and `kv` as the replica itself said lately, None where nobody knows."""

    id: str
    model: str
    state: State
    why: str
    seconds: float
    in_flight: int
    waiting: float | None = None
    kv: float | None = None
    last_fault: Fault | None = None
    last_fault_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


class Fleet(Protocol):
    """What is asked of the router."""

    def every(self) -> Sequence[Replica]: ...

    def load_of(self, replica: Replica) -> int: ...

    def wants_loads(self) -> bool: ...

    async def cooling(self) -> Collection[str]: ...


class ReplicaStates:
    """`clock` gives monotonic seconds; a load older than `max_age` seconds counts as unknown.
    `told` hears of each change: the replica's id, its state before (None: it is new) and after
    (None: it is gone)."""

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        max_age: float = 10.0,
        told: Callable[[str, State | None, State | None], None] = lambda one, before, after: None,
    ) -> None:
        self._clock = clock
        self._max_age = max_age
        self._told = told
        self._standings: dict[str, Standing] = {}
        self._loads: dict[str, ReplicaLoad] = {}
        self._watchers: dict[str, set[Callable[[], None]]] = {}
        self._attended = 0.0

    def of(self, replica: str) -> Standing:
        """By id; a new one is healthy until it shows otherwise."""
        found = self._standings.get(replica)
        if found is None:
            found = self._standings[replica] = Standing(self._clock())
        return found

    def takes(self, replica: str, in_flight: int) -> bool:
        """Whether one more request may go there, next to those in flight."""
        standing = self._standings.get(replica)
        return standing is None or standing.takes(in_flight)

    def in_rotation(self, replica: str) -> bool:
        """Neither drained nor known to be down."""
        standing = self._standings.get(replica)
        return standing is None or standing.in_rotation

    def regard(self, replica: str) -> Regard:
        """Whether it may be asked, and whether anything speaks against it."""
        standing = self._standings.get(replica)
        return standing.regard(self._clock()) if standing else Regard.TRUSTED

    def watch(self, replica: str, down: Callable[[], None]) -> Callable[[], None]:
        """`down` is called at each `went_down`, until the function that this returns is called."""
        watchers = self._watchers.setdefault(replica, set())
        watchers.add(down)

        def forget() -> None:
            watchers.discard(down)
            if not watchers and self._watchers.get(replica) is watchers:
                del self._watchers[replica]

        return forget

    def went_down(self, replica: str) -> None:
        """Whoever waits for it need not wait any longer."""
        for down in tuple(self._watchers.get(replica, ())):
            down()

    def drained(self, replica: str) -> bool:
        """By an operator."""
        standing = self._standings.get(replica)
        return standing is not None and standing.drained is not None

    def keep(self, replicas: Collection[str]) -> None:
        """A configuration with these ids holds from now on. Of the others only an operator's word
        is kept: a replica that comes back drained stays drained."""
        for key in [key for key in self._standings if key not in replicas]:
            standing = self._standings[key]
            if standing.shown is not None:
                self._told(key, standing.shown, None)
            if standing.drained is None:
                del self._standings[key]
            else:
                fresh = self._standings[key] = Standing(self._clock())
                fresh.drain(standing.drained, standing.drained_why)
        self._loads = {key: load for key, load in self._loads.items() if key in replicas}

    def heard(self, replica: str, load: ReplicaLoad | None) -> None:
        """What a replica says of its load; None, that it said nothing, leaves the last to age."""
        if load is not None:
            self._loads[replica] = load

    def attend(self, seconds: float) -> None:
        """Somebody looks at the loads: for so long they are worth asking for."""
        self._attended = self._clock() + seconds

    @property
    def attended(self) -> bool:
        """Whether somebody has looked lately."""
        return self._clock() < self._attended

    def load(self, replica: str) -> ReplicaLoad | None:
        """What it said of itself, unless that is too long ago."""
        found = self._loads.get(replica)
        return found if found and self._clock() - found.at <= self._max_age else None

    async def look(self, fleet: Fleet) -> list[ReplicaState]:
        """All replicas as they are now. A change since the last look is logged, and told, once."""
        cooling, now = await fleet.cooling(), self._clock()
        return [
            self._seen(one, fleet.load_of(one), one.id in cooling, now) for one in fleet.every()
        ]

    def _seen(self, replica: Replica, in_flight: int, cooling: bool, now: float) -> ReplicaState:
        standing, load = self.of(replica.id), self.load(replica.id)
        state = standing.state(cooling)
        why = standing.reason(state, now)
        if state is not standing.shown:
            self._changed(replica.id, standing, state, why)
            standing.shown, standing.shown_since = state, now
        return ReplicaState(
            id=replica.id,
            model=replica.model,
            state=state,
            why=why,
            seconds=round(now - standing.shown_since, 1),
            in_flight=in_flight,
            waiting=load.waiting if load else None,
            kv=load.kv if load else None,
            last_fault=standing.fault,
            last_fault_seconds=round(now - standing.fault_at, 1) if standing.fault else None,
        )

    def _changed(self, replica: str, standing: Standing, state: State, why: str) -> None:
        before = standing.shown
        self._told(replica, before, state)
        if before is None and state is State.HEALTHY:
            return  # at the start nothing has happened yet
        level = logging.INFO if state.up else logging.WARNING
        _log.log(
            level,
            "replica %s: %s -> %s%s",
            replica,
            before or "new",
            state,
            f" ({why})" if why else "",
        )
