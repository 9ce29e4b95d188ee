"""The first tables: teams, keys, revisions, usage, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=nullable)


def upgrade() -> None:
    """From nothing."""
    _identity()
    _usage()
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("uid", sa.String(64), nullable=False, unique=True),
        _time("at"),
        *(_text(name) for name in ("actor", "action", "target", "facts")),
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("prev", "hash")),
    )
    op.create_index("audit_at", "audit", ["at"])


def _identity() -> None:
    op.create_table(
        "teams",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
        _time("created_at"),
        _time("updated_at"),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column("team", sa.String(63), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False, unique=True),
        sa.Column("prefix", sa.String(32), nullable=False),
        _time("created_at"),
        *(_time(name, nullable=True) for name in ("not_before", "expires_at", "revoked_at")),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("models", "routes", "roles")),
        sa.Column("replaces", sa.String(63)),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
    )
    op.create_index("keys_team", "keys", ["team"])
    op.create_table(
        "revisions",
        sa.Column("name", sa.String(63), primary_key=True),
        _number("number"),
    )


def _usage() -> None:
    op.create_table(
        "usage",
        sa.Column("uid", sa.String(64), primary_key=True),
        _text("call_id"),
        _time("at"),
        *(_text(name) for name in ("team", "key_id", "user", "model", "served_model")),
        *(_text(name) for name in ("replica", "route", "prompt")),
        *(
            _number(name)
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "cost")
        ),
        sa.Column("counted", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        _text("code"),
        sa.Column("status", sa.Integer, nullable=False),
        _time("seconds"),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
    )
    op.create_index("usage_at", "usage", ["at"])
    op.create_index("usage_team_at", "usage", ["team", "at"])
    op.create_index("usage_key_at", "usage", ["key_id", "at"])
