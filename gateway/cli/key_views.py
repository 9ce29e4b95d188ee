"""How keys are shown: a table, JSON, the one time that a key is shown, lines for teams.yaml."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.adapters.key_rows import stored_row
from gateway.adapters.stored_keys import StoredKey
from gateway.domain.call import Caller
from gateway.domain.keyring import KnownKey
from gateway.settings.moment import shown
from gateway.settings.teams import KeyHash, Lifetime, Team, hash_key

_HEAD = ("ID", "TEAM", "PREFIX", "STATE", "EXPIRES", "ROLES", "MODELS", "ROUTES", "SOURCE")


def as_json(what: StoredKey | Sequence[Mapping[str, Any]], key: str = "") -> str:
    """One key, with the key itself where it is new, or all of them."""
    if isinstance(what, StoredKey):
        return json.dumps({**stored_row(what), **({"key": key} if key else {})}, indent=2)
    return json.dumps(list(what), indent=2)


def as_text(key: str, row: StoredKey) -> str:
    """The one time that a key is shown."""
    lines = [f"The key, shown this once; give it to {row.team}:", "", f"    {key}", ""]
    lines += [f"It is called {row.id}, and every server of this database knows it in a second."]
    return "\n".join(lines)


def as_lines(key: str, team: str, key_id: str | None, scope: Lifetime) -> str | None:
    """The key, and what to paste into teams.yaml; None where a name cannot be used."""
    digest = hash_key(key)
    name = key_id or f"{team[:50]}-{digest[:6]}"
    try:
        Team(name=team, keys=(KeyHash(id=name, sha256=digest),))
    except ValidationError:
        return None
    words = {"id": name, "sha256": digest, **_given(scope)}
    inside = ", ".join(f"{word}: {_yaml(value)}" for word, value in words.items())
    return "\n".join(
        [
            f"The key, shown this once; give it to {team}:\n\n    {key}\n",
            "Paste this into config/teams.yaml (a team that is there gets one more line):\n",
            f"teams:\n  {team}:\n    keys:\n      - {{{inside}}}",
        ]
    )


def _given(scope: Lifetime) -> dict[str, Any]:
    found = {word: value for word, value in scope.model_dump(mode="json").items() if value}
    dates = {word: shown(found[word]) for word in ("not_before", "expires") if word in found}
    return found | dates


def _yaml(value: Any) -> str:
    if isinstance(value, str) and len(value) < 64 and value.replace("-", "").isalnum():
        return value if not value[0].isdigit() else json.dumps(value)
    return json.dumps(value)


def as_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a key, with its head."""
    if not rows:
        return "no keys: `gateway keys create --team NAME` makes one"
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(_HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    ends = row.get("expires")
    return (
        row["id"],
        row["team"],
        row.get("prefix") or "-",
        _state(row),
        shown(ends) if ends is not None else "-",
        *(",".join(row.get(word) or ()) or "-" for word in ("roles", "models", "routes")),
        row["source"],
    )


def _state(row: Mapping[str, Any]) -> str:
    revoked = row.get("revoked_at") is not None
    known = KnownKey(Caller(), row.get("not_before"), row.get("expires"), revoked)
    words = {"was revoked": "revoked", "has expired": "expired", "is not valid yet": "not yet"}
    return words.get(known.trouble(time.time()), "good")
