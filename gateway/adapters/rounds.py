"""Goes round: visits each of a changing set of places again and again, at its own jittered pace."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.domain.errors import GatewayError

Place = TypeVar("Place")

_log = logging.getLogger("gateway.replicas")
# A place that is new, after a reload say, is noticed this soon.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """`interval` seconds from one visit's start to the next, spread by ± `jitter` of itself."""

    interval: float
    jitter: float


class Rounds(Generic[Place]):
    """`places` by name, looked at before each step; `visit` is never run twice at once for one
    name, and not sooner than the pace allows. `clock` gives seconds, `random` is in [0, 1)."""

    def __init__(
        self,
        places: Callable[[], Mapping[str, Place]],
        visit: Callable[[Place], Awaitable[None]],
        pace: Pace,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._places = places
        self._visit = visit
        self._pace = pace
        self._clock = clock
        self._random = random
        self._due: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """For ever; cancelling it cancels the visits that are under way."""
        try:
            while True:  # noqa: ASYNC110 - what is waited for is time
                await asyncio.sleep(self._step())
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _step(self) -> float:
        """Begin the visits that are due; seconds until the next one is."""
        now, places = self._clock(), self._places()
        self._due = {name: due for name, due in self._due.items() if name in places}
        for name, place in places.items():
            if name not in self._due:
                # Not all at once: many gateways may have started in the same moment.
                self._due[name] = now + self._pace.interval * self._pace.jitter * self._random()
            if self._due[name] <= now and name not in self._under_way:
                spread = 1 + self._pace.jitter * (2 * self._random() - 1)
                self._due[name] = now + self._pace.interval * spread
                self._under_way[name] = asyncio.create_task(self._one(name, place))
        next_due = min(self._due.values(), default=now + _LOOK_SECONDS)
        # One that is due but still under way is not waited for in a tight loop.
        return min(max(next_due - now, self._pace.interval / 20), _LOOK_SECONDS)

    async def _one(self, name: str, place: Place) -> None:
        try:
            await self._visit(place)
        except GatewayError as error:
            # It could not even be asked: that says nothing about the place.
            _log.warning("the visit to %s was not made: %s", name, error)
        except Exception:
            # A marked edge: a visit that fails in a way nobody thought of must not end the rounds.
            _log.exception("the visit to %s failed", name)
        finally:
            del self._under_way[name]
