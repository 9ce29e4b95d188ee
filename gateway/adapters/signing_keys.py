"""An identity provider's public keys (JWKS), from a file or a URL, fetched in the background."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson

_log = logging.getLogger("gateway.jwt")

_SECONDS = 5.0
_MOST_BYTES = 1_048_576
_MOST_KEYS = 100
_AGAIN_SECONDS = 5.0
# A token may name any key: only so often does an unknown one send us to look for it.
_ASKED_SECONDS = 10.0


class SigningKeys:
    """`keys` by their id; empty until they have been read, and kept while they cannot be. `told` is
    called when they have changed."""

    def __init__(
        self,
        place: str,
        every: float,
        make: Callable[[dict[str, Any]], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._place = place
        self._every = every
        self._make = make
        self._clock = clock
        self._asked = asyncio.Event()
        self._last_asked = -_ASKED_SECONDS
        self._raw = b""
        self.keys: Mapping[str, Any] = {}
        self.read = False
        self.told: Callable[[], None] = lambda: None

    def ask(self) -> bool:
        """Somebody shows a key that is not known: look soon. False where that was just done."""
        now = self._clock()
        if now - self._last_asked < _ASKED_SECONDS:
            return False
        self._last_asked = now
        self._asked.set()
        return True

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this lasts, the keys are looked at again and again. Nothing waits for the first."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            self._asked.clear()
            pause = self._every
            try:
                await self.refresh()
            except (OSError, ValueError, TimeoutError, aiohttp.ClientError) as error:
                _log.warning("identity.jwt.jwks cannot be read (%s)", type(error).__name__)
                pause = min(self._every, _AGAIN_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await self._asked.wait()
            except TimeoutError:
                pass

    async def refresh(self) -> None:
        """Read them now. OSError, TimeoutError, ClientError; ValueError where it is no JWKS."""
        raw = await self._fetched()
        if raw == self._raw and self.read:
            return
        found = orjson.loads(raw)
        rows = found.get("keys") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise ValueError("no JWKS")
        keys = {}
        for row in rows[:_MOST_KEYS]:
            if isinstance(row, dict) and row.get("use", "sig") == "sig":
                made = self._make(row)
                if made is not None:
                    keys[str(row.get("kid", ""))] = made
        self.keys, self._raw, self.read = keys, raw, True
        self.told()
        _log.info("%d keys of the identity provider", len(keys))

    async def _fetched(self) -> bytes:
        if "://" not in self._place:
            return await asyncio.to_thread(Path(self._place).read_bytes)
        times = aiohttp.ClientTimeout(total=_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=times, trust_env=True) as session,
            session.get(self._place, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            raw = bytearray()
            async for piece in answer.content.iter_chunked(65_536):
                raw += piece
                if len(raw) > _MOST_BYTES:
                    raise ValueError("too long")
            return bytes(raw)
