"""The tables of the database. Times are epoch seconds, money is in millionths of the currency."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

# Teams that were made by the admin API; those of teams.yaml are in that file alone.
teams = Table(
    "teams",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("settings", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

# A key is known by its hash; `prefix` is what may be shown of it.
keys = Table(
    "keys",
    metadata,
    Column("id", String(63), primary_key=True),
    Column("team", String(63), nullable=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("prefix", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("not_before", Double),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("models", JSON, nullable=False),
    Column("routes", JSON, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("replaces", String(63)),
    Column("note", Text, nullable=False, server_default=""),
    Index("keys_team", "team"),
)

# A number that each change of something raises, so that all processes see that it changed.
revisions = Table(
    "revisions",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# One row a settled call: domain/ledger.py's Entry, in its order.
usage = Table(
    "usage",
    metadata,
    Column("uid", String(64), primary_key=True),
    Column("call_id", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("team", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("served_model", Text, nullable=False),
    Column("replica", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("cost", BigInteger, nullable=False),
    Column("counted", Boolean, nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("code", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("usage_at", "at"),
    Index("usage_team_at", "team", "at"),
    Index("usage_key_at", "key_id", "at"),
)

# A chain: `hash` is over `prev`, the hash of the row before, and all else of its row.
audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", String(64), nullable=False, unique=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    # Text, not JSON: the hash is over these very bytes.
    Column("facts", Text, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_at", "at"),
)
