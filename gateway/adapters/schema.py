"""The database's schema brought up to what this version needs: once, by whoever comes first."""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

_log = logging.getLogger("gateway.database")
_FOLDER = Path(__file__).parent / "migrations"
# Any number that nobody else in the same PostgreSQL takes.
_LOCK = 0x67_61_74_65_77_61_79


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    return config


def newest() -> str:
    """The number of the last step that this version knows: four digits."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def version(connection: Connection) -> str:
    """The number of the last step that was done here; "" in an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


def migrate(connection: Connection) -> None:
    """Does the steps that are missing, in the transaction of `connection`. A schema that is newer
    than this version stays as it is: steps only add, so that what we read and write is there."""
    if connection.dialect.name == "postgresql":
        # SQLite's transaction, begun as IMMEDIATE, is a lock already.
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    was, wanted = version(connection), newest()
    if was >= wanted:
        if was > wanted:
            _log.info("the database has schema %s, newer than this version's %s", was, wanted)
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    _log.info("the database's schema is now %s (was %s)", wanted, was or "empty")
