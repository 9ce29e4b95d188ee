"""What the streams of a replica that has died do not do all at once: Herd."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

MOST_COUNTS = 8
"""Questions to tokenizers at once: whoever would have to wait goes on with an estimate."""


@dataclass(slots=True)
class Herd:
    """Of one engine. `counting` is how many calls wait for a count of what was delivered."""

    counting: int = 0
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For a piece of work that hundreds want to do in the same moment: one of them in each
        turn of the event loop, so that all other streams have theirs in between."""
        async with self._gate:
            yield
            await asyncio.sleep(0)
