"""The page of /metrics, of all worker processes: Scrape. Whichever is asked for it asks the
others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import orjson
from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import GaugeMetricFamily

from gateway.adapters.meters import Block, Meters, block, page
from gateway.domain.process_metrics import LOOP_LAG, SCRAPE_BYTES, WORKER_RESTARTS, WORKER_UP
from gateway.web.siblings import Question, Siblings

ASK = "metrics"
_LOOK_SECONDS = 0.25


class Scrape:
    """Use as `async with scrape.running()`, once the siblings are answered by `own`. A process that
    is the only one has no label `worker`. `look` brings the meters up to date before they are
    told."""

    def __init__(
        self, meters: Meters, siblings: Siblings, look: Callable[[], Awaitable[object]]
    ) -> None:
        self._meters = meters
        self._siblings = siblings
        self._look = look

    async def page(self, accept: str = "") -> tuple[bytes, str]:
        """In the format that the Accept header asks for, and its content type. A worker that has
        told nothing in time is told as down."""
        own = await self._own(accept)
        told = await self._siblings.ask({"ask": ASK, "accept": accept})
        up = GaugeMetricFamily(WORKER_UP.name, WORKER_UP.help, labels=WORKER_UP.labels)
        up.add_metric([self._siblings.place], 1)
        blocks = [*own]
        for place, text in told.items():
            up.add_metric([place], int(text is not None))
            blocks += [(head, lines) for head, lines in orjson.loads(text or b"[]")]
        body, content_type = await asyncio.to_thread(page, [*blocks, block(up, accept)], accept)
        self._meters.put(SCRAPE_BYTES, len(body))
        return body, content_type

    async def own(self, question: Question) -> bytes:
        """What this process tells of itself: for another."""
        return orjson.dumps(await self._own(str(question["accept"])))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tells of this process too, and looks how late its event loop is."""
        collector = ProcessCollector(registry=self._meters.registry)
        if self._siblings.starts:
            self._meters.add(WORKER_RESTARTS, self._siblings.starts)
        async with AsyncExitStack() as stack:
            stack.callback(self._meters.registry.unregister, collector)
            sampler = asyncio.ensure_future(self._sample())
            stack.callback(sampler.cancel)
            yield

    async def _own(self, accept: str) -> list[Block]:
        await self._look()
        place = "" if self._siblings.alone else self._siblings.place
        # A thread: a stream should not wait for some hundred series to be written.
        return await asyncio.to_thread(self._meters.blocks, accept, place)

    async def _sample(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self._meters.observe(LOOP_LAG, max(0.0, loop.time() - due))
