"""What is too old goes by itself, and the audit log tells of it."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters import audit_chain, retention
from gateway.adapters.database import Database
from gateway.domain.audit import MemoryAudit
from gateway.domain.usage_report import DAY
from gateway.settings.state import State
from tests.adapters.databases import a_database, database_url, postgres
from tests.adapters.test_audit_chain import fill as fill_audit
from tests.adapters.test_ledger import stored
from tests.adapters.test_usage_report import fill

__all__ = ["a_database", "database_url", "postgres"]


async def test_rows_that_are_older_than_said_are_deleted(a_database: Database) -> None:
    await fill(a_database)
    await fill_audit(a_database, 1, 2, 3)
    log = MemoryAudit()
    state = State(usage_days=10, audit_days=5)
    await retention.look(a_database, state, log, now=11.5 * DAY)
    assert len(await stored(a_database)) == 2
    assert log.events == [("gateway", "usage.purge", "usage", {"rows": 2, "before": 1.5 * DAY})]
    kept = [row.event.action async for row in audit_chain.rows(a_database)]
    assert kept == ["key.create", "audit.purge"]
    assert (await audit_chain.verify(a_database)).broken == ""


async def test_without_a_limit_nothing_is_deleted_and_nobody_watches(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db")
    await fill(database)
    await retention.look(database, State(), MemoryAudit(), now=1e9)
    await retention.watch(database, State(), MemoryAudit(), lambda: 1e9)
    assert len(await stored(database)) == 4
    await database.aclose()
