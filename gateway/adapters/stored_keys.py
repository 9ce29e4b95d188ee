"""Keys and teams of the database as a snapshot in memory, which is new within a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters import tables
from gateway.adapters.database import Database
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings.teams import Lifetime, Scope

_log = logging.getLogger("gateway.keys")

REVISION = "keys"
# Twice this, and the time of a query, is how long a revoked key may still work.
POLL_SECONDS = 0.4
_QUERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A row: whose key it is, its hash, what may be shown of it. Times are epoch seconds."""

    id: str
    team: str
    sha256: str = field(repr=False)
    prefix: str
    created_at: float
    scope: Lifetime
    revoked_at: float | None = None
    replaces: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows at some revision; -1 for none read yet."""

    revision: int = -1
    keys: tuple[StoredKey, ...] = ()
    teams: Mapping[str, Scope] = field(default_factory=dict)


class StoredKeys:
    """`snapshot` is what was last read: a database that is gone changes nothing of it. `file` is
    where an SQLite has its data: one that does not exist yet has no keys."""

    def __init__(self, database: Database | None, file: Path | None = None) -> None:
        self._database = database
        self._file = file
        self.snapshot = Snapshot()
        self._looks = 0
        self._shown = 0

    @property
    def unread(self) -> bool:
        """Whether there may be keys that nobody has seen since the start."""
        if self._database is None or self.snapshot.revision >= 0:
            return False
        return self._file is None or self._file.exists()

    async def refresh(self) -> None:
        """Look now whether something has changed. DatabaseUnavailable."""
        if self._database is None:
            return
        self._looks += 1
        look = self._looks
        async with self._database.reading(_QUERY_SECONDS) as connection:
            number = await revision(connection)
            if number == self.snapshot.revision:
                return
            found = await read(connection, number)
        # A look that began earlier may end later: it must not bring a revoked key back.
        if look > self._shown:
            self.snapshot, self._shown = found, look

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """While this lasts, changes that any process makes are seen within a second."""
        if self._database is None:
            yield
            return
        await self._look()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            await self.refresh()
        except DatabaseUnavailable:
            pass  # the database has said so; what is known goes on
        except Exception:
            # A marked edge: whatever a row does to us, the watch must go on.
            _log.exception("keys could not be read from the database")


async def revision(connection: AsyncConnection) -> int:
    """How often keys or teams were changed."""
    number = tables.revisions.c.number
    found = await connection.scalar(select(number).where(tables.revisions.c.name == REVISION))
    return int(found or 0)


async def read(connection: AsyncConnection, number: int) -> Snapshot:
    """All keys and teams, as of that revision or later."""
    rows = (await connection.execute(select(tables.keys).order_by(tables.keys.c.created_at))).all()
    teams = (await connection.execute(select(tables.teams))).all()
    return Snapshot(
        number,
        tuple(key_of(row._mapping) for row in rows),
        {row.name: _scope(row.name, row.settings) for row in teams},
    )


def key_of(row: Mapping[Any, Any]) -> StoredKey:
    """A row as it is meant. One that makes no sense (a newer process may have written it) is good
    for nothing."""
    wanted = {
        **{word: row[word] for word in ("models", "routes")},
        "roles": row["roles"] or None,
        "not_before": row["not_before"],
        "expires": row["expires_at"],
    }
    revoked_at = row["revoked_at"]
    try:
        scope = Lifetime.model_validate(wanted)
    except ValidationError:
        _log.error("key %r in the database makes no sense, and lets nobody in", row["id"])
        scope, revoked_at = Lifetime(), revoked_at or row["created_at"]
    return StoredKey(
        **{word: row[word] for word in ("id", "team", "sha256", "prefix", "created_at")},
        scope=scope,
        revoked_at=revoked_at,
        replaces=row["replaces"],
        note=row["note"],
    )


def _scope(name: str, settings: Any) -> Scope:
    try:
        return Scope.model_validate(settings)
    except ValidationError:
        _log.error("team %r in the database makes no sense; its keys are good for nothing", name)
        return Scope(models=("\0",), routes=("\0",))
