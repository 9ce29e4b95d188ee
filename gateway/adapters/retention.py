"""What is too old to be kept: found, deleted, and told in the audit log."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable

from gateway.adapters import audit_chain, usage_report
from gateway.adapters.database import Database
from gateway.domain.audit import AuditLog
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.ledger import new_uid
from gateway.domain.usage_report import DAY
from gateway.settings.state import State

_log = logging.getLogger("gateway.retention")

_FIRST_SECONDS = 60.0
_AGAIN_SECONDS = 3600.0


async def purge(database: Database, what: str, before: float, now: float, actor: str) -> int:
    """Delete the rows of `what` (usage or audit) that are older than `before`; how many there
    were. The audit log tells of its own purge itself; whoever purges usage tells it there."""
    if what == "usage":
        return await usage_report.purge(database, before)
    uid = new_uid(now, secrets.token_bytes(10))
    return await audit_chain.purge(database, before, uid, now, actor)


async def look(database: Database, state: State, audit: AuditLog, now: float) -> None:
    """Once: delete what the settings say is too old."""
    for what, days in (("usage", state.usage_days), ("audit", state.audit_days)):
        if not days:
            continue
        before = now - days * DAY
        count = await purge(database, what, before, now, "gateway")
        if count:
            _log.info("%d rows of %s were older than %d days: deleted", count, what, days)
        if count and what == "usage":
            audit.put("gateway", "usage.purge", "usage", {"rows": count, "before": before})


async def watch(
    database: Database, state: State, audit: AuditLog, clock: Callable[[], float]
) -> None:
    """Look now and then, for good. `clock` gives epoch seconds."""
    if not (state.usage_days or state.audit_days):
        return
    pause = _FIRST_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = _AGAIN_SECONDS
        try:
            await look(database, state, audit, clock())
        except DatabaseUnavailable:
            pause = _FIRST_SECONDS
