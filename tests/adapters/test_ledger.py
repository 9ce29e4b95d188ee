"""The ledger on both databases: each call once, whatever becomes of database, disk and process."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters import audit_chain
from gateway.adapters.database import Database
from gateway.adapters.ledger import Audit, DatabaseLedger, Told
from gateway.adapters.tables import usage
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.ledger import Entry, Spent
from gateway.settings.state import State
from tests.adapters.databases import a_database, database_url, postgres
from tests.postgres_server import PostgresServer, postgres_server

__all__ = ["a_database", "database_url", "postgres"]

ENTRY = Entry(
    *("uid", "req-1", 1000.5, "ide", "ide-1", "anna", "qwen", "Qwen/Qwen", "a", "/v1/x", "p@1+ab"),
    *(10, 5, 2, 7, True, "completed", "", 200, 0.25, False, 1),
)


def entry(number: int, **changes: Any) -> Entry:
    return replace(ENTRY, uid=f"{number:032x}", **changes)


async def stored(database: Database) -> list[Any]:
    async with database.reading() as connection:
        return list((await connection.execute(select(usage).order_by(usage.c.uid))).all())


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.01)


@asynccontextmanager
async def a_ledger(
    database: Database, folder: Path | None, told: Told | None = None
) -> AsyncIterator[DatabaseLedger]:
    ledger = DatabaseLedger(database, State(folder=folder, flush_s=0.01), told)
    async with ledger.writing():
        yield ledger


async def test_what_is_put_is_in_the_database_soon_every_field_of_it(
    a_database: Database, tmp_path: Path
) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        ledger.put(ENTRY)
        await until(lambda: ledger.state["waiting"] == 0)
        (row,) = await stored(a_database)
        assert Entry(**row._mapping) == ENTRY


async def test_the_same_entry_twice_is_one(a_database: Database, tmp_path: Path) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        for _ in range(3):
            ledger.put(ENTRY)
    assert len(await stored(a_database)) == 1


async def test_many_entries_are_stored_all(a_database: Database, tmp_path: Path) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        for number in range(2345):
            ledger.put(entry(number))
        await until(lambda: ledger.state["waiting"] == 0)
    assert len(await stored(a_database)) == 2345
    assert list((tmp_path / "journal").iterdir()) == []


async def test_calls_that_come_while_others_are_stored_share_the_next_transaction(
    a_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = DatabaseLedger(a_database, State(folder=tmp_path))
    begin, begun = a_database.begin, 0

    @asynccontextmanager
    async def busy(seconds: float = 5.0) -> AsyncIterator[AsyncConnection]:
        nonlocal begun
        begun += 1
        ledger.put(entry(100 + begun))
        async with begin(seconds) as connection:
            yield connection

    monkeypatch.setattr(a_database, "begin", busy)
    ledger.put(ENTRY)
    await ledger._drain()
    assert (begun, ledger.state["waiting"]) == (1, 1)
    ledger._journal.close()


async def test_without_a_folder_it_works_from_memory(a_database: Database) -> None:
    async with a_ledger(a_database, None) as ledger:
        ledger.put(ENTRY)
    assert len(await stored(a_database)) == 1


async def test_what_the_database_never_had_is_stored_by_the_next_process(
    a_database: Database, tmp_path: Path
) -> None:
    dead = DatabaseLedger(a_database, State(folder=tmp_path))
    dead.put(ENTRY)
    dead._journal.close()  # what the end of a process does to its locks
    async with a_ledger(a_database, tmp_path) as ledger:
        ledger.put(entry(2))
    assert len(await stored(a_database)) == 2


async def test_words_and_numbers_that_no_database_takes_are_made_fit(
    a_database: Database, tmp_path: Path
) -> None:
    odd = [
        entry(1, call_id="nul \0 byte"),
        entry(2, model="lone \ud800 surrogate"),
        entry(3, prompt_tokens=1 << 80),
        entry(4, seconds=math.nan),
        entry(5, team="팀"),
    ]
    async with a_ledger(a_database, tmp_path) as ledger:
        for one in odd:
            ledger.put(one)
    rows = await stored(a_database)
    assert rows[0].call_id == "nul \ufffd byte"
    assert rows[1].model == "lone ? surrogate"
    assert rows[2].prompt_tokens == 1 << 53
    assert rows[3].seconds == 0.0
    assert rows[4].team == "팀"


async def test_an_entry_that_cannot_be_stored_keeps_no_other(
    a_database: Database, tmp_path: Path
) -> None:
    lost: list[int] = []
    told = Told(lost=lost.append)
    async with a_ledger(a_database, tmp_path, told) as ledger:
        for number in range(20):
            # PostgreSQL takes 32 characters here; SQLite takes all.
            ledger.put(entry(number, outcome="x" * 40 if number == 7 else "completed"))
    assert len(await stored(a_database)) + sum(lost) == 20
    assert sum(lost) == (0 if a_database.is_sqlite else 1)


async def test_a_line_of_another_version_is_read_as_far_as_it_is_known(
    a_database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    newer = {"uid": "n", "team": "ide", "colour": "blue"}
    (folder / "1-a.journal").write_bytes(orjson.dumps(newer) + b"\nnot JSON\n[]\n")
    async with a_ledger(a_database, tmp_path) as ledger:
        await until(lambda: ledger._looked)
        await until(lambda: ledger.state["waiting"] == 0)
    (row,) = await stored(a_database)
    assert (row.uid, row.team, row.status, row.stream) == ("n", "ide", 0, False)


async def test_spent_is_the_sum_of_what_is_stored_and_what_still_waits(
    a_database: Database, tmp_path: Path
) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        ledger.put(entry(1))
        ledger.put(entry(2, team="other"))
        ledger.put(entry(3, at=10.0))
    waiting = DatabaseLedger(a_database, State(folder=tmp_path))
    waiting.put(entry(4))
    waiting.put(entry(5, key_id="ide-2", model="m"))
    assert await waiting.spent(team="ide", since=1000.0) == Spent(3, 45, 21)
    assert await waiting.spent(team="ide", key_id="ide-1", since=1000.0) == Spent(2, 30, 14)
    assert await waiting.spent(model="m", since=0.0) == Spent(1, 15, 7)
    assert await waiting.spent(team="nobody", since=0.0) == Spent()
    assert (await waiting.spent(since=0.0)).requests == 5


async def test_spent_is_exact_while_entries_are_on_their_way(
    a_database: Database, tmp_path: Path
) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        for number in range(1, 300):
            ledger.put(entry(number))
            if number % 10 == 0:
                assert (await ledger.spent(since=0.0)).requests == number


async def test_events_are_chained_between_calls(a_database: Database, tmp_path: Path) -> None:
    async with a_ledger(a_database, tmp_path) as ledger:
        Audit(ledger).put("root", "key.revoke", "ide-1", {"reason": "lost", "api_key": "sk-123"})
        ledger.put(ENTRY)
        Audit(ledger).put("root", "key.create", "ide-2", {})
    found = [row async for row in audit_chain.rows(a_database)]
    assert [row.event.action for row in found] == ["key.revoke", "key.create"]
    assert "sk-123" not in found[0].event.facts
    assert (await audit_chain.verify(a_database)).broken == ""


async def test_a_database_that_goes_and_comes_back_gets_everything_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    changes: list[int] = []
    with postgres_server() as server:
        database = Database(server.url)
        async with a_ledger(database, tmp_path, Told(backlog=changes.append)) as ledger:
            ledger.put(entry(1))
            await until(lambda: ledger.state == ledger.state | {"state": "ok", "waiting": 0})
            await asyncio.to_thread(server.kill)
            for number in range(2, 900):
                ledger.put(entry(number))
            await until(lambda: ledger.state["state"] == "behind")
            with pytest.raises(DatabaseUnavailable):
                await ledger.spent(since=0.0)
            assert ledger.state["waiting"] == 898
            await asyncio.to_thread(server.start)
            await until(lambda: ledger.state["waiting"] == 0)
            assert len(await stored(database)) == 899
        assert (sum(changes), max(changes) > 0) == (0, True)
        await database.aclose()
    assert "the database is back" in caplog.text


async def test_a_database_that_is_away_from_start_to_end_loses_nothing(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    gone = Database("postgresql://nobody@/none?host=" + str(tmp_path))
    async with a_ledger(gone, tmp_path) as ledger:
        ledger.put(ENTRY)
        await until(lambda: not gone.available)
    await gone.aclose()
    database = await Database.open(postgres.fresh(f"late_{tmp_path.name[:40]}"))
    async with a_ledger(database, tmp_path):
        pass
    assert len(await stored(database)) == 1
    await database.aclose()
