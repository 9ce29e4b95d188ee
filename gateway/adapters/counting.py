"""Where limits and budgets count: in this process, or in the Redis that all processes share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from gateway.adapters.memory_counters import MemoryCounters
from gateway.domain.counters import Counters
from gateway.domain.metrics import COUNTERS_LOST, COUNTERS_UP, Metric
from gateway.settings.state import State

if TYPE_CHECKING:
    from gateway.adapters.redis_counters import RedisCounters


class Counting:
    """The counters of a gateway, which work inside `async with counting.running()`. `change` hears
    of a metric that has so many more, or less."""

    def __init__(self, state: State, change: Callable[[Metric, int], None]) -> None:
        self._shared: RedisCounters | None = None
        if state.redis_url is not None:
            # Imported here because redis-py is optional; settings.packages has seen that it is
            # there.
            from gateway.adapters.redis_counters import RedisCounters

            self._shared = RedisCounters(
                state.redis_url.get_secret_value(),
                told=lambda is_so: change(COUNTERS_UP, 1 if is_so else -1),
                lost=lambda count: change(COUNTERS_LOST, count),
            )
        self.counters: Counters = self._shared or MemoryCounters(time.monotonic)

    @property
    def place(self) -> str:
        """Where they are, for /readyz: memory, redis or redis unavailable."""
        if self._shared is None:
            return "memory"
        return "redis" if self._shared.available else "redis unavailable"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Holds are renewed; at the end what was settled is written, for at most 2 s."""
        if self._shared is None:
            yield
            return
        async with self._shared.running():
            yield
