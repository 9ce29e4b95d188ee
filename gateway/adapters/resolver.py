"""Which addresses a host name stands for, by this machine's resolver. Satisfies ports.Names."""

from __future__ import annotations

import asyncio
import socket

SECONDS = 2.0
"""How long a name may take."""
AT_ONCE = 4
"""How many are looked up at once: each takes a thread until the resolver gives up."""


class Resolver:
    """Asks in a thread, anew each time: what a name stands for may change between two requests."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def addresses(self, host: str) -> tuple[str, ...]:
        """All addresses of `host`, IPv4 and IPv6; none when it has none or takes too long."""
        try:
            async with asyncio.timeout(SECONDS), self._slots:
                found = await asyncio.get_running_loop().getaddrinfo(
                    host.strip("[]"), 443, type=socket.SOCK_STREAM
                )
        except (OSError, UnicodeError, TimeoutError):
            return ()
        return tuple(dict.fromkeys(str(row[4][0]) for row in found))
