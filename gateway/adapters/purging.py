"""A purge by hand: what is older than a moment, counted or deleted. Purge."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gateway.adapters import audit_chain, retention, usage_report
from gateway.adapters.database import Database
from gateway.domain.audit import event_of
from gateway.domain.ledger import new_uid
from gateway.settings import Settings


@dataclass(frozen=True, slots=True)
class Purge:
    """`before` and `now` in epoch seconds; `actor` is who the audit log will name."""

    database: Database
    settings: Settings
    before: float
    now: float
    actor: str

    async def of(self, kind: str, *, dry_run: bool) -> int | None:
        """How many rows of usage, audit or records are deleted, or would be; None where that is
        not kept outside of memory, or cannot be counted beforehand."""
        if kind == "records":
            return None if dry_run else await self._records()
        if dry_run:
            count = usage_report.old if kind == "usage" else audit_chain.old
            return await count(self.database, self.before)
        deleted = await retention.purge(self.database, kind, self.before, self.now, self.actor)
        if kind == "usage" and deleted:
            await self._tell("usage.purge", "usage", deleted)
        return deleted

    async def _records(self) -> int | None:
        records = self.settings.records
        if records.redis_url is None:
            return None
        # Imported here because redis-py is optional.
        from gateway.adapters.redis_records import RedisRecords

        url = records.redis_url.get_secret_value()
        store = RedisRecords(
            url, keep=records.keep, most_bytes=records.max_bytes, ttl=records.redis_ttl_s
        )
        try:
            deleted = await store.forget(self.now - self.before)
        finally:
            await store.aclose()
        await self._tell("records.purge", "records", deleted)
        return deleted

    async def _tell(self, action: str, target: str, rows: int) -> None:
        uid = new_uid(self.now, secrets.token_bytes(10))
        facts = {"rows": rows, "before": self.before}
        async with self.database.begin() as connection:
            event = event_of(uid, self.now, (self.actor, action, target), facts)
            await audit_chain.append(connection, [event])
