"""What a gateway keeps for good, and what /readyz and metrics tell of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.adapters.keeping import Keeping
from gateway.domain import metrics
from gateway.domain.ledger import MemoryLedger
from gateway.domain.metrics import Metric
from gateway.settings.state import State
from tests.adapters.test_ledger import ENTRY, stored


async def test_without_folder_and_url_all_is_in_memory() -> None:
    keeping = Keeping(State())
    async with keeping.running():
        keeping.ledger.put(ENTRY)
        keeping.audit.put("a", "b", "c", {})
    assert keeping.database is None
    assert isinstance(keeping.ledger, MemoryLedger)
    assert keeping.state == {"database": "none", "ledger": {"state": "in memory only"}}


async def test_with_a_folder_the_database_gets_what_is_put(tmp_path: Path) -> None:
    changes: list[tuple[Metric, int]] = []
    keeping = Keeping(State(folder=tmp_path), lambda *change: changes.append(change))
    async with keeping.running():
        keeping.ledger.put(ENTRY)
        async with asyncio.timeout(10):
            while keeping.state["ledger"]["waiting"]:  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.01)
        assert keeping.database is not None
        assert len(await stored(keeping.database)) == 1
        assert keeping.state["database"] == "ok"
    assert (metrics.DATABASE_UP, 1) in changes
    assert sum(change for metric, change in changes if metric is metrics.LEDGER_BACKLOG) == 0
