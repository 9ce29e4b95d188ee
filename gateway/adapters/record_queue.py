"""Decision records on their way to a store that all processes share, off the path of requests."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.errors import RecordsUnavailable

_log = logging.getLogger("gateway.records")

# What comes within this time goes together; a round trip for each would cost more than a request.
_GATHER_SECONDS = 0.1
_BATCH = 256
_BATCH_BYTES = 1 << 20
_LOOK_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_FLUSH_SECONDS = 2.0


class StoreUnavailable(Exception):
    """The store does not answer, or not as it should; the text is for the log."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as JSON, and who may find it under which id. `number` counts up."""

    number: int
    team: str
    request_id: str
    text: bytes


class Store(Protocol):
    """What keeps records for all processes. Each method raises StoreUnavailable within seconds."""

    async def add(self, batch: Sequence[Entry]) -> None: ...
    async def find(self, team: str, request_id: str) -> list[bytes]: ...
    async def ping(self) -> None: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """Whom the queue tells: records that were lost, whether the store answers (on a change)."""

    dropped: Callable[[int], None] = lambda count: None
    available: Callable[[bool], None] = lambda is_so: None


class RecordQueue:
    """Waiting records, at most `most` and `most_bytes` of them: past that the oldest is lost. They
    are written inside `async with queue.writing()`."""

    def __init__(self, store: Store, most: int, most_bytes: int, told: Told) -> None:
        self._store = store
        self._most = most
        self._most_bytes = most_bytes
        self._told = told
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._count = 0
        self._came = asyncio.Event()
        self._available: bool | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def available(self) -> bool:
        """Whether the store answered when it was last asked; True until it was."""
        return self._available is not False

    def put(self, team: str, request_id: str, text: bytes) -> None:
        """Write it soon. Never waits, never raises."""
        self._count += 1
        self._waiting.append(Entry(self._count, team, request_id, text))
        self._bytes += len(text)
        self._came.set()
        while len(self._waiting) > self._most or self._bytes > self._most_bytes:
            self._pop()
            self._told.dropped(1)

    def _pop(self) -> None:
        self._bytes -= len(self._waiting.popleft().text)

    async def find(self, team: str, request_id: str) -> list[bytes]:
        """What the store has, newest first. RecordsUnavailable at once where it is known to be
        gone, else within a second."""
        if not self.available:
            raise RecordsUnavailable
        try:
            return await self._store.find(team, request_id)
        except StoreUnavailable as error:
            self._down(error)
            raise RecordsUnavailable(detail=str(error)) from None

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """While this lasts, what is put is written; at its end the rest is, for at most 2 s."""
        task = asyncio.create_task(self._write())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._flush()
            with suppress(StoreUnavailable):
                await self._store.aclose()

    async def _write(self) -> None:
        while True:
            try:
                await self._send()
            except StoreUnavailable as error:
                self._down(error)
            except Exception as error:
                # A marked edge: what a client library may do wrong must not end the writing. Its
                # words stay out of the log: they may quote the URL.
                self._down(StoreUnavailable(type(error).__name__))
            else:
                self._up()
                await self._more()
                continue
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _more(self) -> None:
        """Until there is something to write, or it is time to look whether the store is there."""
        if not self._waiting:
            self._came.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), _LOOK_SECONDS)
        if len(self._waiting) < _BATCH:
            await asyncio.sleep(_GATHER_SECONDS)

    async def _send(self) -> None:
        """The oldest that wait, which leave the queue once they are written."""
        batch = self._batch()
        if not batch:
            await self._store.ping()
            return
        await self._store.add(batch)
        # Some may have been dropped meanwhile.
        while self._waiting and self._waiting[0].number <= batch[-1].number:
            self._pop()

    def _batch(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        for entry in self._waiting:
            size += len(entry.text)
            if batch and (size > _BATCH_BYTES or len(batch) == _BATCH):
                break
            batch.append(entry)
        return batch

    async def _flush(self) -> None:
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                while self._waiting:
                    await self._send()
        if left := len(self._waiting):
            self._told.dropped(left)
            _log.warning("%d decision records could not be written before the end", left)
            self._waiting.clear()
            self._bytes = 0
        if self._available:
            self._told.available(False)  # this process counts no more

    def _up(self) -> None:
        if self._available is not True:
            _log.info("decision records are shared through Redis")
            self._available = True
            self._told.available(True)

    def _down(self, error: StoreUnavailable) -> None:
        if self._available is not False:
            _log.warning("decision records: redis unavailable (%s); trying again", error)
            was, self._available = self._available, False
            if was:
                self._told.available(False)
