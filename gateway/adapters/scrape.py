"""The page of /metrics, of all worker processes: Scrape.

Each worker holds a place in a folder, by a lock that ends with it, and tells its metrics on a
socket beside it. Whichever is asked for the page asks all others.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import IO

import orjson
from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily

from gateway.adapters.meters import Block, Meters, block, page
from gateway.domain.process_metrics import LOOP_LAG, SCRAPE_BYTES, WORKER_RESTARTS, WORKER_UP

# Prometheus gives a scrape 10 s; a healthy worker needs some milliseconds.
_PATIENCE_SECONDS = 2.0
_PLACES = 256
_MOST_BYTES = 64 * 1024 * 1024
_LOOK_SECONDS = 0.25


class Scrape:
    """Use as `async with scrape.running()`. Without a `folder` this process is the only one, and
    nothing has a label `worker`. `look` brings the meters up to date before they are told."""

    def __init__(
        self,
        meters: Meters,
        folder: Path | None,
        look: Callable[[], Awaitable[object]],
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._meters = meters
        self._folder = folder
        self._look = look
        self._patience = patience
        self._place = ""

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """In the format that the Accept header asks for, and its content type. What a worker has
        not told in two seconds is left out."""
        own = await self._own(accept)
        others = {} if self._folder is None else await self._others(self._folder, accept)
        up = GaugeMetricFamily(WORKER_UP.name, WORKER_UP.help, labels=WORKER_UP.labels)
        up.add_metric([self._place or "0"], 1)
        for place, told in others.items():
            up.add_metric([place], int(told is not None))
        blocks = [one for told in (own, *others.values()) if told for one in told]
        body, content_type = await asyncio.to_thread(page, [*blocks, block(up, accept)], accept)
        self._meters.put(SCRAPE_BYTES, len(body))
        return body, content_type

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Takes a place, answers the others, and looks how late the event loop is."""
        collector = ProcessCollector(registry=self._meters.registry)
        async with AsyncExitStack() as stack:
            stack.callback(self._meters.registry.unregister, collector)
            if self._folder is not None:
                await stack.enter_async_context(self._answering(self._folder))
            sampler = asyncio.ensure_future(self._sample())
            stack.callback(sampler.cancel)
            yield

    async def _own(self, accept: str) -> list[Block]:
        await self._look()
        # A thread: a stream should not wait for some hundred series to be written.
        return await asyncio.to_thread(self._meters.blocks, accept, self._place)

    async def _others(self, folder: Path, accept: str) -> dict[str, list[Block] | None]:
        places = [one for one in _places(folder) if one != self._place]
        told = await asyncio.gather(*(self._ask(folder, one, accept) for one in places))
        return dict(zip(places, told, strict=True))

    async def _ask(self, folder: Path, place: str, accept: str) -> list[Block] | None:
        """None from one that is gone, or half dead."""
        with suppress(OSError, TimeoutError, orjson.JSONDecodeError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._patience):
                reader, writer = await asyncio.open_unix_connection(folder / f"{place}.sock")
                try:
                    writer.write(orjson.dumps(accept) + b"\n")
                    size = int.from_bytes(await reader.readexactly(4), "big")
                    told = orjson.loads(await reader.readexactly(min(size, _MOST_BYTES)))
                    return [(head, lines) for head, lines in told]
                finally:
                    writer.close()
        return None

    @asynccontextmanager
    async def _answering(self, folder: Path) -> AsyncIterator[None]:
        lock, place = _take_place(folder)
        self._place = str(place)
        socket = folder / f"{place}.sock"
        socket.unlink(missing_ok=True)  # of one that was killed
        with lock:
            starts = int(lock.read() or 0)
            lock.seek(0)
            lock.write(str(starts + 1))
            lock.flush()
            self._meters.add(WORKER_RESTARTS, starts)
            server = await asyncio.start_unix_server(self._answer, socket)
            try:
                yield
            finally:
                server.close()
                socket.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError, orjson.JSONDecodeError):
                async with asyncio.timeout(self._patience):
                    accept = str(orjson.loads(await reader.readline()))
                    told = orjson.dumps(await self._own(accept))
                    writer.write(len(told).to_bytes(4, "big") + told)
                    await writer.drain()
        finally:
            writer.close()

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self._meters.observe(LOOP_LAG, max(0.0, loop.time() - due))


def _places(folder: Path) -> list[str]:
    return sorted(one.stem for one in folder.glob("*.sock"))


def _take_place(folder: Path) -> tuple[IO[str], int]:
    """The first place that nobody holds, and its file, which holds it until it is closed."""
    for place in range(_PLACES):
        file = os.fdopen(os.open(folder / f"{place}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            continue
        return file, place
    raise RuntimeError(f"{folder}: all {_PLACES} places of workers are taken")
