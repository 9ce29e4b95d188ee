"""What accounts that no counter knows have used already, asked once for all who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gateway.domain.counters import Claim, CountersUnavailable
from gateway.patience import patience

_SECONDS = 1.0


class Seeds:
    """Asks the seeds of claims; those who want the same at once share one question."""

    def __init__(self) -> None:
        self._asked: dict[tuple[str, int], asyncio.Task[int]] = {}

    async def ask(self, claims: Sequence[Claim]) -> dict[str, int]:
        """Account → used so far. CountersUnavailable, within a second, where one cannot be told."""
        tasks = {claim.account: self._task(claim) for claim in claims if claim.seed is not None}
        try:
            async with patience(_SECONDS):
                # Whoever leaves takes the answer from nobody else.
                return {name: max(0, await asyncio.shield(tasks[name])) for name in tasks}
        except TimeoutError:
            raise CountersUnavailable(detail="what was used is not told in time") from None
        except Exception as error:
            # A marked edge: a seed asks a database. Without its answer nobody knows what is used.
            detail = f"what was used is not told: {type(error).__name__}"
            raise CountersUnavailable(detail=detail) from error

    def _task(self, claim: Claim) -> asyncio.Task[int]:
        key = claim.account, claim.window.bucket
        task = self._asked.get(key)
        if task is None:
            assert claim.seed is not None
            task = self._asked[key] = asyncio.ensure_future(_bounded(claim))
            task.add_done_callback(lambda done: self._forget(key, done))
        return task

    def _forget(self, key: tuple[str, int], done: asyncio.Task[int]) -> None:
        self._asked.pop(key, None)
        if not done.cancelled():
            done.exception()  # else asyncio warns where everybody who asked has left


async def _bounded(claim: Claim) -> int:
    assert claim.seed is not None
    async with patience(_SECONDS):
        return await claim.seed()
