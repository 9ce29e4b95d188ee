"""What may be shown of a key."""

from __future__ import annotations

from gateway.adapters.key_rows import fixed_row, stored_row
from gateway.adapters.stored_keys import StoredKey
from gateway.settings import KeyHash, Team
from gateway.settings.teams import Lifetime

SHA = "ab" * 32


def test_neither_row_has_the_hash() -> None:
    key = StoredKey("k", "ide", SHA, "sk-gw-abc", 1.0, Lifetime(models=("m",), expires=1.8e9))
    fixed = KeyHash(id="f", sha256=SHA, routes=("/v1/*",))
    rows = [stored_row(key), fixed_row(Team(name="ide", keys=(fixed,)), fixed)]
    assert SHA not in str(rows)
    assert [(row["id"], row["team"], row["source"]) for row in rows] == [
        ("k", "ide", "database"),
        ("f", "ide", "config"),
    ]
    assert (rows[0]["models"], rows[0]["expires"], rows[1]["routes"]) == (["m"], 1.8e9, ["/v1/*"])
