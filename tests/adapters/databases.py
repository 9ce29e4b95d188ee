"""Databases for tests: `a_database` on SQLite and on a real PostgreSQL, empty each time."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.adapters.database import Database
from tests.postgres_server import PostgresServer, postgres_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gateway.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.fresh(f"test_{os.getpid()}_{next(_NUMBERS)}")


@pytest.fixture
async def a_database(database_url: str) -> AsyncIterator[Database]:
    database = await Database.open(database_url)
    try:
        yield database
    finally:
        await database.aclose()
