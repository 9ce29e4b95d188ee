"""A limit of time that does not count how late the event loop is: patience.

Where many calls come at once, one pass of the loop may take longer than the limit: what was waited
for has happened long ago, and only the waiting one has not been told. A plain time-out would end it
for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Later than that is not for a timer's own sake.
_LATE_SECONDS = 0.02
# After so many extensions it is over all the same.
_EXTENSIONS = 3


@asynccontextmanager
async def patience(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """As `asyncio.timeout`. When it runs out while the loop itself is late, there is as much time
    again as the loop is late, at most `seconds`, three times at most."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as limit:

        def look(due: float, extensions: int) -> None:
            nonlocal timer
            late = loop.time() - due
            if late <= _LATE_SECONDS or not extensions:
                limit.reschedule(loop.time())
                return
            again = loop.time() + min(late, seconds)
            timer = loop.call_at(again, look, again, extensions - 1)

        due = loop.time() + seconds
        timer = loop.call_at(due, look, due, _EXTENSIONS)
        try:
            yield limit
        finally:
            timer.cancel()
