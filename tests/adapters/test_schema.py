"""The schema's steps: once, whoever comes first; what they make is what the tables say."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from gateway.adapters import schema
from gateway.adapters.database import Database
from gateway.adapters.tables import metadata
from tests.adapters.databases import a_database, database_url, postgres

__all__ = ["a_database", "database_url", "postgres"]


async def test_the_steps_make_the_tables_that_the_code_uses(a_database: Database) -> None:
    def differences(connection: Connection) -> list[Any]:
        found: list[Any] = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), metadata
        )
        return found

    async with a_database.begin() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(schema.version) == schema.newest()


def test_processes_that_start_at_once_do_each_step_once(database_url: str) -> None:
    code = (
        "import asyncio, sys; from gateway.adapters.database import Database\n"
        "async def run():\n"
        "    await (await Database.open(sys.argv[1])).aclose()\n"
        "asyncio.run(run())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, database_url], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said


async def test_a_schema_that_is_newer_than_this_version_is_taken_as_it_is(
    a_database: Database, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What an older process finds once a newer one has started beside it."""
    caplog.set_level(logging.INFO, "gateway.database")
    async with a_database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await connection.execute(text("ALTER TABLE usage ADD COLUMN colour TEXT"))
    older = await Database.open(database_url)
    try:
        assert "newer than this version's" in caplog.text
        async with older.begin() as connection:
            assert await connection.run_sync(schema.version) == "9999"
    finally:
        await older.aclose()


def test_the_steps_are_a_line_of_four_digit_numbers() -> None:
    """`version` compares them as text."""
    files = sorted(Path(schema.__file__).parent.glob("migrations/versions/v*.py"))
    numbers = [file.stem[1:5] for file in files]
    assert numbers == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert schema.newest() == numbers[-1]


async def test_two_that_come_at_once_in_one_process_wait_for_one_migration(
    database_url: str,
) -> None:
    database = Database(database_url)
    await asyncio.gather(*(database.ping() for _ in range(8)))
    await database.aclose()
