"""The snapshot of keys: seen soon, kept while the database is gone, closed to rubbish."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters import stored_keys, tables
from gateway.adapters.database import Database
from gateway.adapters.key_store import KeyStore
from gateway.adapters.stored_keys import Snapshot, StoredKeys
from gateway.settings.teams import Lifetime
from tests.adapters.databases import a_database, database_url, postgres
from tests.flow.house import until
from tests.postgres_server import postgres_server

# Port 1: nobody listens there.
NOWHERE = "postgresql://u:p@127.0.0.1:1/db"
__all__ = ["a_database", "database_url", "postgres"]


def store_in(database: Database) -> KeyStore:
    return KeyStore(database, (), time.time)


async def test_a_revocation_is_seen_by_another_process_within_a_second(
    a_database: Database, database_url: str
) -> None:
    await store_in(a_database).create("me", "ide", Lifetime(), key_id="k")
    other = await Database.open(database_url)
    keys = StoredKeys(other)
    try:
        async with keys.watching():
            assert [one.revoked_at for one in keys.snapshot.keys] == [None]
            await store_in(a_database).revoke("me", "k")
            await until(lambda: keys.snapshot.keys[0].revoked_at is not None)
    finally:
        await other.aclose()


async def test_a_database_that_is_gone_takes_no_key_with_it() -> None:
    with postgres_server() as server:
        database = await Database.open(server.fresh("gone"))
        try:
            await store_in(database).create("me", "ide", Lifetime(), key_id="k")
            keys = StoredKeys(database)
            await keys.refresh()
            server.kill()
            async with keys.watching():
                assert [one.id for one in keys.snapshot.keys] == ["k"]
                assert not keys.unread
        finally:
            await database.aclose()


async def test_a_database_that_was_never_read_may_have_keys() -> None:
    keys = StoredKeys(database := Database(NOWHERE))
    try:
        async with keys.watching():
            assert keys.unread
    finally:
        await database.aclose()


def test_without_a_database_or_before_its_file_is_made_there_are_no_keys(tmp_path: Path) -> None:
    assert not StoredKeys(None).unread
    file = tmp_path / "gateway.db"
    database = Database(f"sqlite:///{file}")
    assert not StoredKeys(database, file).unread
    file.touch()
    assert StoredKeys(database, file).unread


async def test_a_row_that_makes_no_sense_is_good_for_nothing(a_database: Database) -> None:
    async with a_database.begin() as connection:
        await connection.execute(
            tables.keys.insert().values(
                id="k",
                team="ide",
                sha256="a" * 64,
                prefix="sk-gw-abc",
                created_at=1.0,
                models=["m"],
                routes=[],
                roles=["emperor"],
            )
        )
        await connection.execute(
            tables.teams.insert().values(
                name="ide", settings={"models": 3}, created_at=1.0, updated_at=1.0
            )
        )
        await connection.execute(tables.revisions.insert().values(name="keys", number=1))
    keys = StoredKeys(a_database)
    await keys.refresh()
    assert keys.snapshot.keys[0].revoked_at == 1.0
    assert keys.snapshot.teams["ide"].models == ("\0",)


async def test_a_slow_look_does_not_bring_back_what_a_later_one_saw_revoked(
    a_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_in(a_database).create("me", "ide", Lifetime(), key_id="k")
    has_read, goes_on = asyncio.Event(), asyncio.Event()
    read = stored_keys.read

    async def slow_once(connection: AsyncConnection, number: int) -> Snapshot:
        monkeypatch.setattr(stored_keys, "read", read)
        found = await read(connection, number)
        has_read.set()
        await goes_on.wait()
        return found

    monkeypatch.setattr(stored_keys, "read", slow_once)
    keys = StoredKeys(a_database)
    slow = asyncio.create_task(keys.refresh())
    await has_read.wait()
    revoked = await store_in(a_database).revoke("me", "k")
    await keys.refresh()
    goes_on.set()
    await slow
    assert keys.snapshot.keys == (revoked,)
