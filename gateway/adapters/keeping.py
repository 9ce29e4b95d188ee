"""All that a gateway keeps for good, joined: its database, usage ledger and audit log. Keeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateway.adapters import retention
from gateway.adapters.database import Database
from gateway.adapters.ledger import Audit, DatabaseLedger, Told
from gateway.domain import metrics
from gateway.domain.audit import AuditLog, MemoryAudit
from gateway.domain.ledger import Ledger, MemoryLedger
from gateway.domain.metrics import Metric
from gateway.settings.state import State


class Keeping:
    """What `state` says. Without a folder and a URL all is in memory, and `database` is None.
    `changed` hears how much more (or less) a gauge or a counter is."""

    def __init__(
        self, state: State, changed: Callable[[Metric, int], None] = lambda metric, change: None
    ) -> None:
        self._state = state
        self._changed = changed
        self.database: Database | None = None
        self.ledger: Ledger = MemoryLedger()
        self.audit: AuditLog = MemoryAudit()
        self._stored: DatabaseLedger | None = None
        if (url := state.url) is not None:
            self.database = Database(url, told=self._available)
            told = Told(
                lambda change: changed(metrics.LEDGER_BACKLOG, change),
                lambda count: changed(metrics.LEDGER_LOST, count),
            )
            self.ledger = self._stored = DatabaseLedger(self.database, state, told)
            self.audit = Audit(self._stored)

    def _available(self, is_so: bool) -> None:
        self._changed(metrics.DATABASE_UP, 1 if is_so else -1)

    @property
    def state(self) -> dict[str, Any]:
        """For /readyz, where anybody may read it: no name of a host, no error's words."""
        if self.database is None or self._stored is None:
            return {"database": "none", "ledger": {"state": "in memory only"}}
        word = "ok" if self.database.available else "unavailable"
        return {"database": word, "ledger": self._stored.state}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this lasts, what is put reaches the database."""
        async with AsyncExitStack() as stack:
            if self.database is not None and self._stored is not None:
                stack.push_async_callback(self.database.aclose)
                await stack.enter_async_context(self._stored.writing())
                old = retention.watch(self.database, self._state, self.audit, time.time)
                task = asyncio.create_task(old)
                stack.push_async_callback(_ended, task)
            yield


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
