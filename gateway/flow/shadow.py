"""Runs that nobody waits for: another variant of a prompt, answered unseen, to be measured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.domain.errors import GatewayError
from gateway.domain.metrics import SHADOW_RUNS, Metric

_log = logging.getLogger("gateway.shadow")


class Shadows:
    """At most `limit` at once: what comes while so many run is skipped, not queued. `random` gives
    0 ≤ x < 1; `count` counts what became of each."""

    def __init__(
        self,
        random: Callable[[], float],
        count: Callable[[Metric, str], None],
        limit: int = 4,
    ) -> None:
        self._random = random
        self._count = count
        self._limit = limit
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._running)

    def offer(self, ratio: float, run: Callable[[], Awaitable[None]]) -> None:
        """Start `run` in this share of calls. Returns at once; what it raises is only counted."""
        if self._closed or self._random() >= ratio:
            return
        if len(self._running) >= self._limit:
            self._count(SHADOW_RUNS, "skipped")
            return
        task = asyncio.create_task(self._run(run))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, run: Callable[[], Awaitable[None]]) -> None:
        result = "cancelled"
        try:
            await run()
            result = "ok"
        except GatewayError as error:
            result = "failed"
            _log.info("a shadow run failed: %s %s", error.code, error.detail)
        except Exception:
            # A marked edge: nobody awaits this task, so an error would be lost with it.
            result = "failed"
            _log.exception("a shadow run failed")
        finally:
            self._count(SHADOW_RUNS, result)

    async def aclose(self) -> None:
        """Stops those that run; none starts any more."""
        self._closed = True
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
