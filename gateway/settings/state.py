"""What outlives a process: State, where the ledger, keys and the audit log are kept."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from gateway.settings.database_url import DatabaseUrl, file_of, is_sqlite
from gateway.settings.redis_url import RedisUrl
from gateway.settings.section import Seconds, Section

FOLDER = "state"
_FILE = "gateway.db"


class State(Section):
    """Keys, the usage ledger and the audit log: a folder, and SQLite in it or PostgreSQL."""

    folder: Path | None = Field(
        default=None, description="for journals and gateway.db; null is ./state"
    )
    database_url: DatabaseUrl | None = Field(
        default=None, description="postgresql://… or os.environ/NAME; null: SQLite there"
    )
    redis_url: RedisUrl | None = Field(
        default=None, description="redis://HOST:6379/0 or os.environ/NAME: limits, cooldowns"
    )
    flush_s: Seconds = Field(default=0.2, description="seconds between two writes of the ledger")
    journal_max_bytes: int = Field(
        default=1_073_741_824, ge=65_536, description="bytes of calls that wait for the database"
    )
    journal_memory: int = Field(
        default=20_000, ge=100, le=1_000_000, description="calls kept in memory on a full disk"
    )
    usage_days: int = Field(default=0, ge=0, description="days that usage is kept; 0: for good")
    audit_days: int = Field(default=0, ge=0, description="days of the audit log; 0: for good")

    @property
    def url(self) -> SecretStr | None:
        """Where the database is; None where nothing is kept."""
        if self.database_url is not None or self.folder is None:
            return self.database_url
        return SecretStr(f"sqlite:///{self.folder.absolute() / _FILE}")

    @property
    def file(self) -> Path | None:
        """The file of an SQLite database; None for PostgreSQL, and where nothing is kept."""
        url = self.url
        return Path(file_of(url)) if url is not None and is_sqlite(url) else None
