"""A state folder with calls and events in it, for commands that read it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from gateway.adapters.database import Database
from gateway.adapters.ledger import Audit, DatabaseLedger
from gateway.settings.state import State
from tests.adapters.test_ledger import ENTRY


def fill(folder: Path) -> None:
    """Four calls (the third of them old, the fourth with a formula for a model), two events."""
    asyncio.run(_fill(folder / "state"))


async def _fill(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/gateway.db")
    ledger = DatabaseLedger(database, State(folder=folder))
    now = time.time()
    async with ledger.writing():
        ledger.put(replace(ENTRY, uid="1", at=now))
        ledger.put(replace(ENTRY, uid="2", at=now, team="web", cost=2_500_000))
        ledger.put(replace(ENTRY, uid="3", at=now - 90 * 86_400))
        ledger.put(replace(ENTRY, uid="4", at=now, model="=1+1"))
        Audit(ledger).put("operators-1", "key.create", "ide-2", {"team": "ide"})
        Audit(ledger).put("operators-1", "key.revoke", "ide-1", {"reason": "lost"})
    await database.aclose()
