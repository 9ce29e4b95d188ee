"""Asking a second replica where the first is slower than usual: Hedging knows when, `race` how."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from gateway.domain.call import Attempt, Call
from gateway.domain.recent import Recent
from gateway.domain.retry_budget import HedgeBudget
from gateway.flow.lease import Opened

Attempting = Coroutine[Any, Any, Opened]


class Hedging:
    """For the `models` named, and no other: how long an answer usually takes to begin (a plain
    one: to come), and whether a second request may be spent on one that takes longer. Nothing is
    usual before `min_samples` answers."""

    def __init__(self, models: Collection[str], budget: float, min_samples: int) -> None:
        self._budget = HedgeBudget(budget)
        self._times: dict[tuple[str, bool], Recent] = {}
        self.adopt(models, budget, min_samples)

    def adopt(self, models: Collection[str], budget: float, min_samples: int) -> None:
        """These from now on; what is known of models that stay is kept, and so is what is saved."""
        self._models = frozenset(models)
        self._budget.adopt(budget)
        self._min_samples = max(1, min_samples)
        self._times = {key: times for key, times in self._times.items() if key[0] in self._models}

    def covers(self, model: str) -> bool:
        """Whether calls of this model are hedged."""
        return model in self._models

    def patience(self, call: Call, model: str) -> float | None:
        """Seconds after which a second replica is worth asking; None while nobody can know."""
        self._budget.request()
        times = self._times.get((model, call.stream))
        if times is None or len(times) < self._min_samples:
            return None
        return times.p95()

    def spend(self) -> bool:
        """Take one extra request out of the budget."""
        return self._budget.spend()

    def learn(self, call: Call, model: str, seconds: float) -> None:
        """An answer has begun after so long."""
        self._times.setdefault((model, call.stream), Recent()).add(seconds)


async def race(
    first: Attempting,
    second: Callable[[], Awaitable[Attempting | None]],
    patience: float,
    made: list[Attempt],
) -> tuple[Opened, bool]:
    """The answer that begins first, and whether it is that of `second`, which is begun once the
    first has been silent for `patience` seconds. The loser is cancelled and closed before this
    returns, and added to `made`. What the first raised, when both fail."""
    tasks = [asyncio.ensure_future(first)]
    winner: asyncio.Future[Opened] | None = None
    try:
        await asyncio.wait(tasks, timeout=patience)
        if not tasks[0].done() and (other := await second()) is not None:
            tasks.append(asyncio.ensure_future(other))
        winner = await _first_good(tasks)
        return (winner or tasks[0]).result(), winner is not None and winner is not tasks[0]
    finally:
        await _dismiss([task for task in tasks if task is not winner], made)


async def _first_good(tasks: list[asyncio.Task[Opened]]) -> asyncio.Task[Opened] | None:
    running = set(tasks)
    while running:
        _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done() and not task.cancelled() and task.exception() is None:
                return task
    return None


async def _dismiss(losers: list[asyncio.Task[Opened]], made: list[Attempt]) -> None:
    for task in losers:
        task.cancel()
    for ended in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(ended, Opened):  # it came in the very same moment
            made.append(ended.lease.seen("ok" if ended.reply.complete else "cancelled"))
            await ended.end()
