"""Transactions in SQLite and in a real PostgreSQL, and what becomes of a database that is gone."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import IntegrityError

from gateway.adapters.database import Database, Unstorable
from gateway.adapters.tables import revisions
from gateway.domain.errors import DatabaseUnavailable
from tests.adapters.databases import a_database, database_url, postgres
from tests.postgres_server import PASSWORD, PostgresServer, postgres_server

__all__ = ["a_database", "database_url", "postgres"]


async def put(database: Database, name: str, number: int = 1) -> None:
    async with database.begin() as connection:
        await connection.execute(revisions.insert().values(name=name, number=number))


async def count(database: Database) -> int:
    async with database.reading() as connection:
        return await connection.scalar(select(func.count()).select_from(revisions)) or 0


async def test_what_is_committed_is_there_for_others(
    a_database: Database, database_url: str
) -> None:
    await put(a_database, "keys")
    other = await Database.open(database_url)
    try:
        assert await count(other) == 1
    finally:
        await other.aclose()


async def test_what_raises_is_undone(a_database: Database) -> None:
    async def begin_and_fail() -> None:
        async with a_database.begin() as connection:
            await connection.execute(revisions.insert().values(name="keys", number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await begin_and_fail()
    assert await count(a_database) == 0
    assert a_database.available


async def test_whoever_is_cancelled_while_rows_are_written_locks_nobody_out(
    a_database: Database,
) -> None:
    rows = [{"name": f"row {n}", "number": n} for n in range(20_000)]
    began = asyncio.Event()
    engine = a_database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: given[-1] and began.set())

    async def write() -> None:
        async with a_database.begin() as connection:
            await connection.execute(revisions.insert(), rows)

    writing = asyncio.create_task(write())
    await began.wait()
    writing.cancel()
    # Held on to, as a traceback in a log record would: with it, its cursor.
    (fault,) = await asyncio.gather(writing, return_exceptions=True)
    assert isinstance(fault, asyncio.CancelledError)
    async with asyncio.timeout(2):
        await put(a_database, "keys")
    assert await count(a_database) == 1


async def test_a_row_that_is_there_already_is_no_fault_of_the_database(
    a_database: Database,
) -> None:
    await put(a_database, "keys")
    with pytest.raises(IntegrityError):
        await put(a_database, "keys")
    assert a_database.available
    async with a_database.begin() as connection:
        statement = a_database.insert(revisions).values(name="keys", number=9)
        await connection.execute(statement.on_conflict_do_nothing())
    assert await count(a_database) == 1


async def test_a_number_that_does_not_fit_is_told_apart_from_a_database_that_is_gone(
    a_database: Database,
) -> None:
    with pytest.raises(Unstorable):
        await put(a_database, "keys", 1 << 70)
    assert a_database.available


async def test_writers_at_once_wait_for_each_other_and_lose_nothing(
    a_database: Database, database_url: str
) -> None:
    await put(a_database, "sum", 0)
    other = await Database.open(database_url)

    async def raise_by_one(database: Database) -> None:
        async with database.begin() as connection:
            change = revisions.update().values(number=revisions.c.number + 1)
            await connection.execute(change)

    try:
        await asyncio.gather(*(raise_by_one(one) for one in (a_database, other) * 20))
        async with other.reading() as connection:
            assert await connection.scalar(select(revisions.c.number)) == 40
    finally:
        await other.aclose()


async def test_sqlite_is_in_wal_mode_and_safe_against_a_power_cut(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db")
    async with database.reading() as connection:
        found = [
            await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    await database.aclose()
    assert found == ["wal", 2, 4000]


async def test_a_folder_that_is_missing_is_made_for_us_alone(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite:///{tmp_path}/state/gateway.db")
    await database.aclose()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only for root")
async def test_a_file_that_can_only_be_read_counts_as_gone(tmp_path: Path) -> None:
    file = tmp_path / "gateway.db"
    await (await Database.open(f"sqlite:///{file}")).aclose()
    file.chmod(0o400)
    database = Database(f"sqlite:///{file}")
    with pytest.raises(DatabaseUnavailable):
        await put(database, "keys")
    await database.aclose()


async def test_a_broken_file_counts_as_gone_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"no database at all " * 100)
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(f"sqlite:///{tmp_path}/gateway.db")
    assert "SQLITE_NOTADB" in caught.value.detail


@pytest.fixture
async def mortal(caplog: pytest.LogCaptureFixture) -> AsyncIterator[PostgresServer]:
    caplog.set_level(logging.INFO, "gateway.database")
    with postgres_server() as running:
        yield running


async def test_a_server_that_is_killed_is_gone_at_once_and_back_when_it_is_back(
    mortal: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bool] = []
    caplog.set_level("INFO", "gateway.database")
    database = Database(mortal.url, told=heard.append)
    await put(database, "before")
    mortal.kill()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await count(database)
    assert (database.available, bool(database.trouble)) == (False, True)
    await asyncio.to_thread(mortal.start)
    assert await count(database) == 1
    assert (database.available, database.trouble) == (True, "")
    assert heard == [True, False, True]
    _, gone, back = [r.message for r in caplog.records if r.name == "gateway.database"]
    assert gone.startswith("the database is unavailable (")
    assert back == "the database is back"
    assert PASSWORD not in caplog.text
    await database.aclose()


async def test_a_server_that_is_frozen_holds_nobody_for_longer_than_said(
    mortal: PostgresServer,
) -> None:
    database = await Database.open(mortal.url)
    mortal.freeze()
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable):
        await database.ping(0.2)
    assert time.monotonic() - began < 10
    mortal.thaw()
    await database.ping()
    await database.aclose()


async def test_a_server_that_only_reads_counts_as_gone_for_who_writes(
    mortal: PostgresServer,
) -> None:
    database = await Database.open(mortal.url)
    await asyncio.to_thread(
        mortal.execute,
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    )

    async def put_many() -> None:
        for number in range(100):  # the server takes a moment to read its settings again
            await put(database, f"keys {number}")
            await asyncio.sleep(0.05)

    with pytest.raises(DatabaseUnavailable) as caught:
        await put_many()
    assert "25006" in caught.value.detail
    assert await count(database) >= 0
    await database.aclose()


async def test_a_wrong_password_is_told_without_it(mortal: PostgresServer) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open(mortal.url.replace(PASSWORD, "wr0ng"))
    assert caught.value.detail == "InvalidPasswordError 28P01"
