"""A key as it may be shown: its name, prefix and scope, never the key or its hash."""

from __future__ import annotations

from typing import Any

from gateway.adapters.stored_keys import StoredKey
from gateway.settings.teams import KeyHash, Lifetime, Team


def stored_row(key: StoredKey) -> dict[str, Any]:
    """A key of the database as it may be shown."""
    return {
        "id": key.id,
        "team": key.team,
        "source": "database",
        "prefix": key.prefix,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "replaces": key.replaces,
        "note": key.note,
        **key.scope.model_dump(mode="json"),
    }


def fixed_row(team: Team, key: KeyHash) -> dict[str, Any]:
    """A key of the configuration as it may be shown."""
    scope = key.model_dump(mode="json", include=set(Lifetime.model_fields))
    return {"id": key.id, "team": team.name, "source": "config", **scope}
