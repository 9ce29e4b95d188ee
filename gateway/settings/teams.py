"""Who may call: teams and the hashes of their keys, from config/teams.yaml and GATEWAY_API_KEYS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gateway.domain.document import Document, Problem
from gateway.domain.scope import NOTHING, Role, narrowed
from gateway.settings.explanation import explain
from gateway.settings.moment import End, Start

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


Glob = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
# Each call walks through them: half a microsecond for one.
Globs = Annotated[tuple[Glob, ...], Field(max_length=100)]


def _some(roles: tuple[Role, ...] | None) -> tuple[Role, ...] | None:
    if roles == ():
        raise ValueError("should name at least one role")
    return roles


class Scope(BaseModel):
    """What keys are good for: globs of models and routes (none: all), and roles."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    models: Globs = ()
    routes: Globs = ()
    roles: Annotated[tuple[Role, ...] | None, AfterValidator(_some)] = None


class Lifetime(Scope):
    """A scope that begins and ends, in epoch seconds."""

    not_before: Start = None
    expires: End = None

    @model_validator(mode="after")
    def _lives(self) -> Self:
        if None not in (self.not_before, self.expires) and self.expires <= self.not_before:  # type: ignore[operator]
            raise ValueError("expires before it begins: 'expires' must come after 'not_before'")
        return self


class KeyHash(Lifetime):
    """One key: the name it is known by, its hash, and how it narrows its team's scope; its roles,
    where it has some, are instead of its team's."""

    id: Name
    sha256: Annotated[str, AfterValidator(_digest)] = Field(repr=False)


class Team(Scope):
    """A team: its keys, and what each of them may do at most. Keys are users by default."""

    name: Name
    keys: tuple[KeyHash, ...] = ()


class _TeamRow(Scope):
    keys: list[KeyHash] | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    teams: dict[Name, _TeamRow | None] | None = None


def _known(path: Sequence[str | int]) -> Iterable[str]:
    if len(path) <= 1:
        return ("teams",)
    return KeyHash.model_fields if "keys" in path[2:] else _TeamRow.model_fields


def _fix(path: Sequence[str | int]) -> str:
    if "[key]" in path:
        return "a name is letters, digits, '.', '_' and '-', at most 63 of them"
    return _FIXES.get(str(path[-1]), CREATE) if "roles" not in path else _FIXES["roles"]


_FIXES = {
    "roles": f"roles are a list of: {', '.join(Role)}",
    "models": "models are a list of names or globs: [qwen-*]",
    "routes": "routes are a list of paths or globs: [/v1/*, /api/ai/explain]",
    "expires": "write a day, 2027-01-31, the last on which it works; or 2027-01-31T18:00:00+09:00",
    "not_before": "write a day, 2027-01-31, the first on which it works; or a time with its zone",
}


def read_teams(document: Document) -> tuple[tuple[Team, ...], list[Problem]]:
    """The teams of the file, and what is wrong with it."""
    if document.data is None:
        return (), []
    try:
        rows = _File.model_validate(document.data).teams or {}
    except ValidationError as error:
        return (), explain(document, error, known=_known, fix=_fix)
    teams = tuple(_team(name, row or _TeamRow()) for name, row in rows.items())
    return teams, [*_repeated(document, teams), *_useless(document, teams)]


def _team(name: str, row: _TeamRow) -> Team:
    scope = {word: getattr(row, word) for word in Scope.model_fields}
    return Team(name=name, keys=tuple(row.keys or ()), **scope)


def _useless(document: Document, teams: Iterable[Team]) -> list[Problem]:
    """Keys whose models or routes have nothing in common with their team's."""
    return [
        document.problem(
            ("teams", team.name, "keys", at, word),
            f"key {key.id!r}: its {word} have nothing in common with those of team {team.name!r}",
            f"name some of {', '.join(getattr(team, word))}, or take the line out",
        )
        for team in teams
        for at, key in enumerate(team.keys)
        for word in ("models", "routes")
        if narrowed(getattr(team, word), getattr(key, word)) == NOTHING
    ]


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
    teams: dict[str, Team] = {}
    known: set[str] = set()
    for team in (*first, *second):
        teams.setdefault(team.name, team)
        mine = keys.setdefault(team.name, [])
        mine += [key for key in team.keys if key.sha256 not in known]
        known.update(key.sha256 for key in team.keys)
    return tuple(
        teams[name].model_copy(update={"keys": tuple(rows)}) for name, rows in keys.items()
    )
