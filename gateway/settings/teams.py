"""Who may call: teams and the hashes of their keys, from config/teams.yaml and GATEWAY_API_KEYS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.domain.document import Document, Problem
from gateway.settings.explanation import explain

FILE = "teams.yaml"
VARIABLE = "GATEWAY_API_KEYS"
CREATE = "`gateway keys create --team NAME` prints the lines to paste"


def hash_key(key: str) -> str:
    """The SHA-256 of a key, 64 hex digits: all that is kept of it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _digest(value: str) -> str:
    if value.startswith("sk-"):
        raise ValueError("is the key itself; only its hash belongs in a file")
    digest = value.strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError("is not a SHA-256: 64 hex digits")
    return digest


# A team's or key's name is a label of metrics and a word in logs.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class KeyHash(BaseModel):
    """One key: the name it is known by, and its hash."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: Name
    sha256: Annotated[str, AfterValidator(_digest)] = Field(repr=False)


class Team(BaseModel):
    """A team and its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Name
    keys: tuple[KeyHash, ...] = ()


class _TeamRow(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    keys: list[KeyHash]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    teams: dict[Name, _TeamRow] | None = None


def _known(path: Sequence[str | int]) -> Iterable[str]:
    if len(path) <= 1:
        return ("teams",)
    return KeyHash.model_fields if "keys" in path[2:] else ("keys",)


def _fix(path: Sequence[str | int]) -> str:
    if "[key]" in path:
        return "a name is letters, digits, '.', '_' and '-', at most 63 of them"
    return CREATE


def read_teams(document: Document) -> tuple[tuple[Team, ...], list[Problem]]:
    """The teams of the file, and what is wrong with it."""
    if document.data is None:
        return (), []
    try:
        rows = _File.model_validate(document.data).teams or {}
    except ValidationError as error:
        return (), explain(document, error, known=_known, fix=_fix)
    teams = tuple(Team(name=name, keys=tuple(row.keys)) for name, row in rows.items())
    return teams, _repeated(document, teams)


def _repeated(document: Document, teams: Iterable[Team]) -> list[Problem]:
    found = []
    seen: dict[str, str] = {}
    for team in teams:
        for at, key in enumerate(team.keys):
            path = ("teams", team.name, "keys", at)
            for word, value in (("id", key.id), ("sha256", key.sha256)):
                mark = f"{word}={value}"
                if mark in seen:
                    found.append(
                        document.problem(
                            [*path, word],
                            f"the same {word} as a key of team {seen[mark]!r}",
                            f"give each key its own {word}; {CREATE}",
                        )
                    )
                seen.setdefault(mark, team.name)
    return found


def teams_of_variable(value: str) -> tuple[tuple[Team, ...], list[Problem]]:
    """The teams of GATEWAY_API_KEYS: `key` or `team:key`, separated by commas. A key without a
    team belongs to "default"; its id is made of its hash, which says nothing about it."""
    rows: dict[str, dict[str, KeyHash]] = {}
    found = []
    for number, item in enumerate(value.split(","), start=1):
        head, colon, tail = item.strip().partition(":")
        team, key = (head.strip(), tail.strip()) if colon else ("default", head)
        if not key:
            fix = "write `key` or `team:key`, separated by commas"
            found.append(Problem(VARIABLE, 0, f"item {number} has no key", fix))
            continue
        digest = hash_key(key)
        try:
            row = KeyHash(id=f"env-{digest[:8]}", sha256=digest)
            Team(name=team)
        except ValidationError:
            fix = "a team's name is letters, digits, '.', '_' and '-'"
            found.append(Problem(VARIABLE, 0, f"item {number} names a team that cannot be", fix))
            continue
        rows.setdefault(team, {})[digest] = row
    return tuple(Team(name=n, keys=tuple(keys.values())) for n, keys in rows.items()), found


def merge(first: Iterable[Team], second: Iterable[Team]) -> tuple[Team, ...]:
    """Teams of both, by name; a key that both know keeps the name that `first` gave it."""
    keys: dict[str, list[KeyHash]] = {}
    known: set[str] = set()
    for team in (*first, *second):
        mine = keys.setdefault(team.name, [])
        mine += [key for key in team.keys if key.sha256 not in known]
        known.update(key.sha256 for key in team.keys)
    return tuple(Team(name=name, keys=tuple(rows)) for name, rows in keys.items())
