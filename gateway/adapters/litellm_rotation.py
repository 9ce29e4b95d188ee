"""Who may take a request now: what LiteLLM says (cooldowns, tags, orders, strategies), less those
that we have taken out (drained, unhealthy, on trial, full)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from gateway.adapters.litellm_deployments import Deployments
from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard

_HEALTHY_SECONDS: Final = 0.1
# Clients choose tags: what is remembered for them is bounded.
_MOST_LISTS: Final = 512
# Cooling replicas that a panic leaves alone: they asked for it, or refuse our key.
_LEFT_ALONE: Final = frozenset({Fault.RATE_LIMITED, Fault.UPSTREAM_AUTH})

Tags = tuple[str, ...]


class Rotation:
    """Of one configuration. `router` is LiteLLM's; `in_flight` counts attempts on a replica;
    `clock` gives monotonic seconds."""

    def __init__(
        self,
        router: Any,
        known: Deployments,
        states: ReplicaStates,
        in_flight: Callable[[Replica], int],
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._known = known
        self._states = states
        self._in_flight = in_flight
        self._clock = clock
        self._lists: dict[tuple[str, int | None, Tags], tuple[float, tuple[Replica, ...]]] = {}
        self.tagged = router is not None and known.tagged(bool(router.enable_tag_filtering))

    def forget(self) -> None:
        """Something has failed: ask LiteLLM anew."""
        self._lists.clear()

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        """Those in rotation, of the lowest order that has any."""
        for order in self._known.orders(model):
            listed = await self._listed(model, order, ())
            found = tuple(one for one in listed if self._states.in_rotation(one.id))
            if found:
                return found
        return ()

    async def pool(
        self, model: str, tags: Tags, tried: Collection[str], panics: Callable[[], bool]
    ) -> tuple[list[Replica], str]:
        """Those that may take a request now, none of `tried`, and why, where none of them is in
        rotation. Whoever has tried one may also have one that rests after failures: it may have
        had bad luck, the other has failed for certain. `panics`: whether, when none at all is in
        rotation, those are tried that nobody has drained."""
        found, rotates = await self.candidates(model, tags, tried)
        if found:
            return found, ""
        if tried and (found := await self._resting(model, tried)):
            return found, "it rests; the others have failed this call"
        if not rotates and panics():
            return await self.last_resort(model, tags, tried), "none is in rotation"
        return [], ""

    async def candidates(
        self, model: str, tags: Tags, tried: Collection[str]
    ) -> tuple[list[Replica], bool]:
        """Those in rotation, none of `tried`, of the lowest order that has one with room; and
        whether any is in rotation, tried or not. Where all are at their own max_parallel_requests,
        the full ones of the first order. A second attempt goes where nothing has failed lately, of
        whatever order."""
        full: list[Replica] = []
        doubted: list[Replica] = []
        rotates = False
        for order in self._known.orders(model):
            for_order = [one for one in await self._listed(model, order, tags) if self.takes(one)]
            rotates = rotates or bool(for_order)
            untried = [one for one in for_order if one.id not in tried]
            room = [one for one in untried if self.has_room(one)]
            sound = [one for one in room if self._trusts(one)] if tried else room
            if sound:
                return sound, True
            doubted = doubted or room
            full = full or untried
        return doubted or full, rotates

    def has_room(self, replica: Replica) -> bool:
        """Below its own max_parallel_requests."""
        return replica.max_parallel is None or self._in_flight(replica) < replica.max_parallel

    def takes(self, replica: Replica) -> bool:
        """Neither drained nor down, and not on trial with a request already."""
        return self._states.takes(replica.id, self._in_flight(replica))

    def keeps(self, replica: Replica, *, roomy: bool) -> bool:
        """Whether a choice made a moment ago still holds; `roomy`: it had room then."""
        return self.takes(replica) and (self.has_room(replica) or not roomy)

    def regard(self, replica: Replica) -> Regard:
        """Whether this very replica, as it was configured, may be asked now."""
        found = self._states.regard(replica.id)
        same = self._known.by_id.get(replica.id) == replica
        return found if same or found is Regard.OUT else Regard.GONE

    def _trusts(self, replica: Replica) -> bool:
        return self._states.regard(replica.id) is Regard.TRUSTED

    async def _resting(self, model: str, tried: Collection[str]) -> list[Replica]:
        """Those that only a cooldown after failures keeps out. Where tags decide what is allowed
        at all: none."""
        if self.tagged:
            return []
        cooling = await self.cooling()
        return [
            one
            for one in self._known.replicas(model)
            if one.id in cooling
            and one.id not in tried
            and self.takes(one)
            and self.has_room(one)
            and self._states.of(one.id).fault not in _LEFT_ALONE
        ]

    async def last_resort(self, model: str, tags: Tags, tried: Collection[str]) -> list[Replica]:
        """When none is in rotation: all but those that an operator has drained. Cooldowns hold
        where they were asked for (429), and where tags decide what is allowed at all."""
        listed: list[Replica] = []
        for order in self._known.orders(model):
            listed += await self._listed(model, order, tags)
        here = {one.id for one in listed}
        if not self.tagged:
            listed += [
                one
                for one in self._known.replicas(model)
                if one.id not in here and self._states.of(one.id).fault not in _LEFT_ALONE
            ]
        free = [one for one in listed if not self._states.drained(one.id) and one.id not in tried]
        return [one for one in free if one.id in here] or free

    async def strategys(self, model: str, tags: Tags, pool: Sequence[Replica]) -> Replica | None:
        """The choice of LiteLLM's strategy among `pool`; None when it has none, for want of rpm
        and tpm say, or chooses another."""
        ids = {one.id for one in pool}
        order = self._known.order(pool[0])
        kwargs = self._kwargs(model, order, tags)
        kwargs["_excluded_deployment_ids"] = [
            one.id for one in self._known.replicas(model) if one.id not in ids
        ]
        try:
            found = await self._router.async_get_available_deployment(
                model=model, request_kwargs=kwargs
            )
        except Exception as error:
            # The same edge as in _ask: over its limits, or cooling down.
            error.__traceback__ = None
            return None
        key = found["model_info"]["id"]
        return self._known.by_id.get(key) if key in ids else None

    async def cooling(self) -> set[str]:
        """Ids of all replicas that LiteLLM lets rest."""
        ids = list(self._known.by_id)
        if self._router is None or not ids:
            return set()
        found = await self._router.cooldown_cache.async_get_active_cooldowns(ids, None)
        return {key for key, _ in found}

    async def _listed(self, model: str, order: int | None, tags: Tags) -> tuple[Replica, ...]:
        """LiteLLM's own list, at most 0.1 s old."""
        now, key = self._clock(), (model, order, tags)
        known = self._lists.get(key)
        if known is not None and now - known[0] < _HEALTHY_SECONDS:
            return known[1]
        ids = [d["model_info"]["id"] for d in await self._ask(model, order, tags)]
        found = tuple(self._known.by_id[one] for one in ids if one in self._known.by_id)
        if len(self._lists) >= _MOST_LISTS:
            self._lists.clear()
        self._lists[key] = (now, found)
        return found

    async def _ask(self, model: str, order: int | None, tags: Tags) -> list[Any]:
        if self._router is None:
            return []
        try:
            found = await self._router.async_get_healthy_deployments(
                model=model, request_kwargs=self._kwargs(model, order, tags)
            )
        except Exception as error:
            # A marked edge: LiteLLM says "all of them are cooling down" by several exceptions,
            # some of them plain ValueError, and none of them is a reason to fail here. It also
            # keeps them in the frames that they come from: cycles for the garbage collector.
            error.__traceback__ = None
            return []
        return found if isinstance(found, list) else [found]

    def _kwargs(self, model: str, order: int | None, tags: Tags) -> dict[str, Any]:
        metadata: dict[str, Any] = {"model_group": model}
        if tags:
            metadata["tags"] = list(tags)
        kwargs: dict[str, Any] = {"metadata": metadata}
        if order is not None:
            kwargs["_target_order"] = order
        return kwargs
