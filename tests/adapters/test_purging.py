"""A purge by hand: counted first, then done, and told in the audit log."""

from __future__ import annotations

import asyncio

from gateway.adapters import audit_chain
from gateway.adapters.database import Database
from gateway.adapters.purging import Purge
from gateway.adapters.record_queue import Entry
from gateway.adapters.redis_records import RedisRecords
from gateway.domain.usage_report import DAY
from gateway.settings import Settings
from tests.adapters.databases import a_database, database_url, postgres
from tests.adapters.test_audit_chain import fill as fill_audit
from tests.adapters.test_ledger import stored
from tests.adapters.test_usage_report import fill
from tests.redis_server import redis_server

__all__ = ["a_database", "database_url", "postgres"]


def purge(database: Database, before: float, settings: Settings | None = None) -> Purge:
    return Purge(database, settings or Settings(), before, 100 * DAY, "cli:root")


async def test_usage_and_audit_are_counted_and_then_deleted(a_database: Database) -> None:
    await fill(a_database)
    await fill_audit(a_database, 1, 2, 3)
    task = purge(a_database, 1.2 * DAY)
    assert await task.of("usage", dry_run=True) == await task.of("usage", dry_run=False) == 2
    assert len(await stored(a_database)) == 2
    assert await task.of("audit", dry_run=True) == await task.of("audit", dry_run=False) == 3
    found = [(row.event.actor, row.event.action) async for row in audit_chain.rows(a_database)]
    assert found == [("cli:root", "usage.purge"), ("cli:root", "audit.purge")]
    assert (await audit_chain.verify(a_database)).broken == ""


async def test_records_in_redis_are_deleted_and_those_in_memory_are_none_of_it(
    a_database: Database,
) -> None:
    assert await purge(a_database, 1.0).of("records", dry_run=False) is None
    with redis_server() as server:
        settings = Settings(records={"redis_url": server.url})  # type: ignore[arg-type]
        store = RedisRecords(server.url, keep=10_000, most_bytes=1 << 25, ttl=1000.0)
        many = [Entry(n, "ide", f"r{n}", b"record") for n in range(5000)]
        await store.add(many)
        assert await store.forget(3600.0) == 0
        # Everything that is older than a millisecond.
        await asyncio.sleep(0.01)
        task = purge(a_database, 100 * DAY + 1, settings)
        assert await task.of("records", dry_run=True) is None
        assert await task.of("records", dry_run=False) == 5000
        assert await store.find("ide", "r1") == []
        await store.add(many[:3])
        assert len(await store.find("ide", "r1")) == 1
        await store.aclose()
