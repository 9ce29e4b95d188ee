"""The audit log in the database: appended to by all processes, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters.database import Database
from gateway.adapters.tables import audit
from gateway.domain.audit import PURGE, Check, Event, Head, Row, chained, event_of

_LOCK = 0x61_75_64_69_74
_PAGE = 1000


async def append(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Chain these, in the transaction of `connection`: with whatever else it changes, or not at
    all. Those that are there already, by their uid, are left out."""
    if not events:
        return
    if connection.dialect.name == "postgresql":
        # Held to the end of the transaction; SQLite's transaction is a lock of its own.
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    uids = [event.uid for event in events]
    known = set(await connection.scalars(select(audit.c.uid).where(audit.c.uid.in_(uids))))
    last, rows = await head(connection), []
    for event in events:
        if event.uid in known:
            continue
        known.add(event.uid)
        row = chained(last, event)
        rows.append(_values(row))
        last = Head(row.seq, row.hash)
    if rows:
        await connection.execute(audit.insert(), rows)


async def head(connection: AsyncConnection) -> Head | None:
    """The last row; None of an empty log."""
    columns = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
    found = (await connection.execute(columns)).one_or_none()
    return Head(found.seq, found.hash) if found is not None else None


def _values(row: Row) -> dict[str, Any]:
    event = row.event
    return {
        "seq": row.seq,
        "uid": event.uid,
        "at": event.at,
        "actor": event.actor,
        "action": event.action,
        "target": event.target,
        "facts": event.facts,
        "prev": row.prev,
        "hash": row.hash,
    }


def _row(found: Any) -> Row:
    event = Event(found.uid, found.at, found.actor, found.action, found.target, found.facts)
    return Row(found.seq, event, found.prev, found.hash)


async def rows(
    database: Database, *, since: float = 0.0, until: float | None = None
) -> AsyncIterator[Row]:
    """All rows of that time (epoch seconds, `until` not included), the oldest first."""
    after = 0
    while True:
        page = select(audit).where(audit.c.seq > after, audit.c.at >= since)
        if until is not None:
            page = page.where(audit.c.at < until)
        async with database.reading() as connection:
            found = (await connection.execute(page.order_by(audit.c.seq).limit(_PAGE))).all()
        for one in found:
            yield _row(one)
        if len(found) < _PAGE:
            return
        after = found[-1].seq


async def verify(database: Database, expected: Head | None = None) -> Check:
    """The whole log, looked through; `expected` is a head that was kept outside of it."""
    check = Check(expected)
    async for row in rows(database):
        check.take((row,))
        if check.broken:
            break
    check.end()
    return check


async def purge(database: Database, before: float, uid: str, now: float, actor: str) -> int:
    """Delete the rows that are older than `before`; how many. A row says that it was done and what
    the last of them was, so that what is left can be verified. The last row always stays."""
    async with database.begin(60.0) as connection:
        if connection.dialect.name == "postgresql":
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        newer = select(func.min(audit.c.seq)).where(audit.c.at >= before)
        first = await connection.scalar(newer)
        last = await head(connection)
        if last is None:
            return 0
        # In the order of the chain: clocks of processes differ.
        end = min(first if first is not None else last.seq, last.seq)
        columns = select(audit.c.seq, audit.c.hash).where(audit.c.seq < end)
        taken = (await connection.execute(columns.order_by(audit.c.seq.desc()).limit(1))).first()
        if taken is None:
            return 0
        count = (await connection.execute(delete(audit).where(audit.c.seq < end))).rowcount
        facts = {"through": taken.seq, "hash": taken.hash, "rows": count, "before": before}
        await append(connection, [event_of(uid, now, (actor, PURGE, "audit"), facts)])
        return count


async def old(database: Database, before: float) -> int:
    """How many rows `purge` would delete."""
    async with database.reading(60.0) as connection:
        first = await connection.scalar(select(func.min(audit.c.seq)).where(audit.c.at >= before))
        last = await head(connection)
        if last is None:
            return 0
        end = min(first if first is not None else last.seq, last.seq)
        found = select(func.count()).select_from(audit).where(audit.c.seq < end)
        return await connection.scalar(found) or 0
