"""The database: SQLite in a file, or PostgreSQL. Connections, transactions, and what goes wrong."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ClauseElement, Connection, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    MultipleResultsFound,
    NoResultFound,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.adapters import schema
from gateway.domain.errors import DatabaseUnavailable

_log = logging.getLogger("gateway.database")

# Nothing takes longer, migrations aside: then the database counts as gone.
SECONDS = 5.0
_MIGRATION_SECONDS = 60.0
# SQLite must have given up before we do: what waits in its thread keeps a connection from closing.
_BUSY_SECONDS = 0.8 * SECONDS
_CONNECTIONS = 4
_SQLITE = "sqlite:///"
_READS = "gateway_reads"


# What asyncpg raises while it connects comes as it is; asyncpg may be missing.
_FAILURES: tuple[type[Exception], ...] = (
    SQLAlchemyError,
    sqlite3.Error,
    OSError,
    OverflowError,
)
with suppress(ImportError):
    from asyncpg import InterfaceError, PostgresError

    _FAILURES += (InterfaceError, PostgresError)


class Unstorable(Exception):
    """A value that the database will never take, however often it is tried."""


class Database:
    """One database and a few connections to it, which are made when they are needed. The first use
    brings its schema up to date. `told` hears whether it answers, on each change.

    Every use raises DatabaseUnavailable where it does not do as it is told; IntegrityError
    (SQLAlchemy's) and Unstorable pass. Use it in one event loop, and close it at the end.
    """

    def __init__(
        self, url: SecretStr | str, *, told: Callable[[bool], None] = lambda is_so: None
    ) -> None:
        self._url = url.get_secret_value() if isinstance(url, SecretStr) else url
        self._told = told
        self._engine = _engine(self._url)
        self._migration: asyncio.Task[None] | None = None
        self._migrated = False
        self._available: bool | None = None
        self.trouble = ""

    @classmethod
    async def open(cls, url: SecretStr | str, *, migrate: bool = True) -> Database:
        """One that has answered, its schema up to date. DatabaseUnavailable within a minute."""
        database = cls(url)
        database._migrated = not migrate
        try:
            await database.ping(_MIGRATION_SECONDS)
        except BaseException:
            await database.aclose()
            raise
        return database

    @property
    def is_sqlite(self) -> bool:
        """SQLite, not PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @property
    def available(self) -> bool:
        """Whether it did as it was told when it was last used; True until it was. `trouble` says
        why not, in words without a password."""
        return self._available is not False

    def insert(self, table: Table) -> Any:
        """An INSERT of this database's own kind: `.on_conflict_do_nothing()`,
        `.on_conflict_do_update(...)`."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def text_of(self, statement: ClauseElement) -> str:
        """The SQL of a statement, its values in the order of their columns: for rows by the
        hundred, which SQLAlchemy would look at one by one."""
        return str(statement.compile(dialect=self._engine.dialect))

    @asynccontextmanager
    async def begin(self, seconds: float = SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end of the block, undone where that raises."""
        async with self._connection(seconds) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def reading(self, seconds: float = SECONDS) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes nothing, and in SQLite waits for no writer."""
        async with self._connection(seconds) as connection:
            await connection.execution_options(**{_READS: True})
            async with connection.begin():
                yield connection

    async def ping(self, seconds: float = SECONDS) -> None:
        """Whether it answers."""
        async with self.reading(seconds) as connection:
            await connection.execute(text("SELECT 1"))

    async def aclose(self) -> None:
        """Close the connections."""
        if self._migration is not None:
            await asyncio.wait({self._migration}, timeout=_MIGRATION_SECONDS)
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncIterator[AsyncConnection]:
        with _watched(self._found):
            async with asyncio.timeout(seconds):
                if not self._migrated:
                    await self._migrate()
                async with self._engine.connect() as connection:
                    yield connection

    async def _migrate(self) -> None:
        """Once for all who wait. In an event loop of another thread: Alembic computes, and may not
        be left halfway."""
        if self._migration is None or self._migration.done():
            work = asyncio.to_thread(asyncio.run, _migrate(self._url))
            self._migration = asyncio.create_task(work)
            self._migration.add_done_callback(_heard)
        await asyncio.shield(self._migration)
        self._migrated = True

    def _found(self, trouble: str) -> None:
        was, self._available, self.trouble = self._available, not trouble, trouble
        if was is self._available:
            return
        if trouble:
            _log.warning("the database is unavailable (%s); trying again", trouble)
        elif was is False:
            _log.info("the database is back")
        if was is not None or not trouble:  # who hears nothing takes it for away
            self._told(not trouble)


@contextmanager
def _watched(found: Callable[[str], None]) -> Iterator[None]:
    """Tells `found` what is wrong, "" for nothing. What clients of databases raise becomes
    DatabaseUnavailable with words of ours: theirs might quote the URL, or what was to be stored."""
    try:
        yield
    except (IntegrityError, NoResultFound, MultipleResultsFound):
        raise
    except _FAILURES as error:
        cause = _cause(error)
        if isinstance(error, DataError | OverflowError) or _code(cause).startswith("22"):
            raise Unstorable(type(cause).__name__) from None
        trouble = _words(cause)
        found(trouble)
        raise DatabaseUnavailable(detail=trouble) from None
    found("")


def _cause(error: BaseException) -> BaseException:
    """The driver's own exception."""
    found: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return found.__cause__ or found


def _code(cause: BaseException) -> str:
    """The database's own, such as SQLITE_READONLY; those of PostgreSQL that begin with 22 are
    about what was to be stored."""
    code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
    return str(code or "")


def _words(cause: BaseException) -> str:
    return f"{type(cause).__name__} {_code(cause)}".rstrip()


def _heard(task: asyncio.Task[None]) -> None:
    """Nobody may be left who asks for its exception."""
    if not task.cancelled():
        task.exception()


async def _migrate(url: str) -> None:
    engine = _engine(url, lasting=False)
    try:
        async with asyncio.timeout(_MIGRATION_SECONDS):
            if engine.dialect.name == "sqlite":
                await _write_ahead(engine)
            async with engine.begin() as connection:
                await connection.run_sync(schema.migrate)
    finally:
        await engine.dispose()


async def _write_ahead(engine: AsyncEngine) -> None:
    """Readers and a writer then do not wait for each other; the file remembers it. SQLite does not
    wait here for others who do the same, so we do."""
    while True:
        try:
            async with engine.connect() as connection:
                raw = await connection.get_raw_connection()
                await raw.driver_connection.execute("PRAGMA journal_mode=WAL")  # type: ignore[union-attr]
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") not in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                raise
            await asyncio.sleep(0.05)


def _engine(url: str, *, lasting: bool = True) -> AsyncEngine:
    """Nothing is connected yet. A lasting one keeps its connections."""
    pool: dict[str, Any] = {"poolclass": NullPool}
    if lasting:
        pool = {"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": SECONDS}
    if url.startswith(_SQLITE):
        return _sqlite_engine(url.removeprefix(_SQLITE), pool)
    return create_async_engine(
        "postgresql+asyncpg://", async_creator=partial(_connect, url), pool_pre_ping=True, **pool
    )


async def _connect(url: str) -> Any:
    """asyncpg reads the URL itself, and so takes all that psql does: sslmode, a socket as host."""
    import asyncpg  # optional; settings.packages has seen that it is there

    return await asyncpg.connect(
        url,
        timeout=SECONDS,
        command_timeout=_MIGRATION_SECONDS,
        server_settings={"application_name": "vllm-gateway"},
    )


def _sqlite_engine(file: str, pool: dict[str, Any]) -> AsyncEngine:
    folder = Path(file).absolute().parent
    with suppress(OSError):  # whoever connects is told, again and again, and the gateway serves
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_async_engine(f"sqlite+aiosqlite:///{file}", **pool)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "invalidate", _undo_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # Python's own BEGIN comes late, and not before what changes tables; ours is below.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(_BUSY_SECONDS * 1000)}")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get(_READS, False)
    # A transaction that reads first and then writes fails where another one wrote in between.
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _undo_sqlite(connection: Any, record: object, error: object) -> None:
    """Whoever used it was cancelled. Closing it does not end its transaction as long as a cursor
    is left over, in a traceback say: nobody else could write until that is collected."""
    # A second cancellation says nothing new, and must not keep it from being closed.
    with suppress(Exception, asyncio.CancelledError):
        connection.rollback()
