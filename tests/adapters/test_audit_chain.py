"""The audit log in both databases: one chain of many processes, verified after any change."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from sqlalchemy import delete, update

from gateway.adapters import audit_chain
from gateway.adapters.database import Database
from gateway.adapters.tables import audit
from gateway.domain.audit import Event, Head, event_of
from tests.adapters.databases import a_database, database_url, postgres

__all__ = ["a_database", "database_url", "postgres"]

APPENDS = """
import asyncio, sys
from gateway.adapters import audit_chain
from gateway.adapters.database import Database
from gateway.domain.audit import event_of
async def run():
    database = await Database.open(sys.argv[1])
    for number in range(20):
        async with database.begin(30) as connection:
            event = event_of(f"{sys.argv[2]}-{number}", 1.0, ("a", "b", "c"), {})
            await audit_chain.append(connection, [event])
    await database.aclose()
asyncio.run(run())
"""


def event(number: int) -> Event:
    return event_of(f"uid-{number}", float(number), ("root", "key.create", f"k{number}"), {"n": 1})


async def fill(database: Database, *numbers: int) -> None:
    async with database.begin() as connection:
        await audit_chain.append(connection, [event(number) for number in numbers])


async def broken(database: Database, head: Head | None = None) -> str:
    return (await audit_chain.verify(database, head)).broken


def test_processes_that_append_at_once_make_one_chain(database_url: str) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", APPENDS, database_url, name]) for name in "abc"
    ]
    assert [process.wait() for process in started] == [0, 0, 0]

    async def check() -> None:
        database = await Database.open(database_url)
        found = await audit_chain.verify(database)
        await database.aclose()
        assert (found.rows, found.broken) == (60, "")

    asyncio.run(check())


async def test_what_was_appended_twice_is_there_once(a_database: Database) -> None:
    await fill(a_database, 1, 2, 2)
    await fill(a_database, 2, 3)
    assert [row.event.uid async for row in audit_chain.rows(a_database)] == [
        "uid-1",
        "uid-2",
        "uid-3",
    ]
    assert await broken(a_database) == ""


async def test_what_a_transaction_undoes_is_not_in_the_log(a_database: Database) -> None:
    async def fails() -> None:
        async with a_database.begin() as connection:
            await audit_chain.append(connection, [event(1)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert [row async for row in audit_chain.rows(a_database)] == []


async def test_edits_removals_and_a_cut_tail_are_found(
    a_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_chain, "_PAGE", 3)
    await fill(a_database, *range(1, 11))
    found = await audit_chain.verify(a_database)
    assert (found.rows, found.broken) == (10, "")
    head = found.head
    async with a_database.begin() as connection:
        await connection.execute(delete(audit).where(audit.c.seq > 8))
    assert await broken(a_database) == ""
    assert "rows 9 to 10 are cut off" in await broken(a_database, head)
    async with a_database.begin() as connection:
        await connection.execute(delete(audit).where(audit.c.seq == 6))
    assert (await broken(a_database)).startswith("row 7: rows 6 to 6")
    async with a_database.begin() as connection:
        change = update(audit).where(audit.c.seq == 3).values(facts='{"n":2}')
        await connection.execute(change)
    assert (await broken(a_database)).startswith("row 3: was changed")


async def test_a_purge_leaves_what_can_be_verified_and_tells_of_itself(
    a_database: Database,
) -> None:
    await fill(a_database, *range(1, 11))
    assert await audit_chain.old(a_database, 5.0) == 4
    assert await audit_chain.purge(a_database, 5.0, "p1", 20.0, "root") == 4
    assert await broken(a_database) == ""
    rows = [row async for row in audit_chain.rows(a_database)]
    assert (rows[0].seq, rows[-1].event.action, rows[-1].event.actor) == (5, "audit.purge", "root")
    assert await audit_chain.purge(a_database, 5.0, "p2", 21.0, "root") == 0
    # Everything but the newest row is old by then, the first purge too.
    assert await audit_chain.purge(a_database, 100.0, "p3", 22.0, "root") == 6
    assert await broken(a_database) == ""
    assert [row.event.action async for row in audit_chain.rows(a_database)] == ["audit.purge"] * 2


async def test_a_time_narrows_the_rows_down(a_database: Database) -> None:
    await fill(a_database, *range(1, 11))
    found = [row.seq async for row in audit_chain.rows(a_database, since=3.0, until=5.0)]
    assert found == [3, 4]
