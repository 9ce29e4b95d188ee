"""Our own choice of a replica among those that may take a call, where LiteLLM's is not asked."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.affinity import AffinityRule, Pressed, favourite, has_room, prefix_key
from gateway.domain.call import Call
from gateway.domain.ports import Replica

AFFINITY: Final = "prefix_affinity"
# Strategies whose choice is ours to make from true in-flight counts; the others ask LiteLLM.
OWN: Final = frozenset({"simple-shuffle", "least-busy", AFFINITY})

Chosen = tuple[Replica, str]


class Choice:
    """`in_flight` counts the attempts that are under way on a replica."""

    def __init__(
        self, states: ReplicaStates, rule: AffinityRule, in_flight: Callable[[Replica], int]
    ) -> None:
        self._states = states
        self._rule = rule
        self._in_flight = in_flight

    def choose(
        self, strategy: str, call: Call, pool: Sequence[Replica], shares: Sequence[float]
    ) -> Chosen:
        """One of `pool`, which is not empty, and why in a few words. `shares` as LiteLLM divides
        traffic; a strategy that is not OWN is answered by a shuffle."""
        if len(pool) == 1:
            return pool[0], "the only one"
        if strategy == "least-busy":
            return self._idlest(pool), "fewest in flight"
        if strategy == AFFINITY:
            return self._favourite(call, pool, shares)
        return self._shuffled(pool, shares)

    def _idlest(self, pool: Sequence[Replica]) -> Replica:
        return min(pool, key=lambda one: (self._in_flight(one), random.random()))

    def _shuffled(self, pool: Sequence[Replica], shares: Sequence[float]) -> Chosen:
        """By weight; of two drawn so, the one with less under way for its weight."""
        first, second = random.choices(range(len(pool)), shares, k=2)
        lighter = (
            self._in_flight(pool[first]) * shares[second]
            <= self._in_flight(pool[second]) * shares[first]
        )
        return pool[first if lighter else second], "drawn by weight, the less busy of two"

    def _favourite(self, call: Call, pool: Sequence[Replica], shares: Sequence[float]) -> Chosen:
        """The replica that the call's prefix belongs to, while its load allows; else the better of
        two others."""
        # Nothing is sent to a replica without a share while others have one.
        pressed = {
            one.id: (one, self._pressed(one, share))
            for one, share in zip(pool, shares, strict=True)
            if share > 0
        }
        # The group's own name, so that an alias finds the same replica.
        key = prefix_key(call, pool[0].model)
        if key is None:
            return self._lighter_of_two(list(pressed.values())), "less pressed of two"
        best = favourite(key, {one: its.weight for one, (_, its) in pressed.items()})
        found, mine = pressed.pop(best)
        if has_room(mine, [its for _, its in pressed.values()], self._rule):
            return found, "its prefix"
        return self._lighter_of_two(list(pressed.values())), f"less pressed of two; {best} is busy"

    def _lighter_of_two(self, pressed: Sequence[tuple[Replica, Pressed]]) -> Replica:
        drawn = random.sample(pressed, min(2, len(pressed)))
        return min(drawn, key=lambda one: one[1].pressure(self._rule))[0]

    def _pressed(self, replica: Replica, weight: float) -> Pressed:
        load = self._states.load(replica.id)
        return Pressed(
            self._in_flight(replica),
            weight,
            load.waiting if load else None,
            load.kv if load else None,
        )
