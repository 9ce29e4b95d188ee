"""Keys and teams are made and changed here, in the database: every change is seen everywhere."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters import audit_chain, tables
from gateway.adapters.database import Database
from gateway.adapters.stored_keys import (
    REVISION,
    Snapshot,
    StoredKey,
    key_of,
    read,
    revision,
)
from gateway.domain.audit import Event, event_of
from gateway.domain.errors import InvalidRequest
from gateway.domain.ledger import new_uid
from gateway.domain.scope import NOTHING, narrowed
from gateway.domain.secret_scan import clean
from gateway.settings.teams import KeyHash, Lifetime, Scope, Team, hash_key

PREFIX = "sk-gw-"
_SHOWN = len(PREFIX) + 6
_MOST_NOTE = 500
_SHOWN_TO_MANY = (
    "Names of teams and keys, and notes, are shown to others, and this one looks like a key "
    "itself; take another. The gateway makes the key."
)

Enter = Callable[[AsyncConnection, Sequence[Event]], Awaitable[None]]


class KeyNotFound(InvalidRequest):
    """No stored key has that id."""

    status = 404
    code = "key_not_found"
    default_public = (
        "No such key in the database; `gateway keys list` and GET /admin/keys show all."
    )


class TeamNotFound(InvalidRequest):
    """No stored team has that name."""

    status = 404
    code = "team_not_found"
    default_public = "There is no such team in the database; GET /admin/teams lists them."


class KeyConflict(InvalidRequest):
    """What is there already, or still, does not let it be."""

    status = 409
    code = "conflict"


class InvalidKey(InvalidRequest):
    """A key or team that makes no sense."""

    status = 422
    code = "invalid_key"


def new_key() -> str:
    """256 random bits: SHA-256 alone is enough to keep such a key from who reads its hash."""
    return PREFIX + secrets.token_urlsafe(32)


class KeyStore:
    """`fixed` are the teams of the configuration, which nothing here can change; `now` gives epoch
    seconds; `enter` puts each change into the audit log, in the transaction of the change: neither
    is there without the other. All raise DatabaseUnavailable."""

    def __init__(
        self,
        database: Database,
        fixed: tuple[Team, ...],
        now: Callable[[], float],
        enter: Enter = audit_chain.append,
    ) -> None:
        self._database = database
        self._fixed = {team.name: team for team in fixed}
        self._ids = {key.id: team.name for team in fixed for key in team.keys}
        self._now = now
        self._enter = enter

    async def every(self) -> Snapshot:
        """All keys and teams that are stored."""
        async with self._database.reading() as connection:
            return await read(connection, await revision(connection))

    async def create(
        self, actor: str, team: str, scope: Lifetime, *, key_id: str = "", note: str = ""
    ) -> tuple[str, StoredKey]:
        """A new key, in clear this once, and its row. A team that nobody knows is made with it.
        InvalidKey, KeyConflict."""
        key, row = self._new(team, key_id, scope, note)
        async with self._database.begin() as connection:
            own = await self._team(connection, team)
            _check(own or Scope(), scope)
            if own is None:
                await self._put_team(connection, team, Scope())
            await self._insert(connection, row, None)
            await self._tell(connection, (actor, "key.create", row.id), _facts(row))
        return key, row

    async def rotate(self, actor: str, key_id: str, overlap: float) -> tuple[str, StoredKey]:
        """A key like `key_id`, which works for `overlap` more seconds. It lives as long as the old
        one did. KeyNotFound, KeyConflict where that one is not good any more, or not yet."""
        now = self._now()
        async with self._database.begin() as connection:
            old = await self._row(connection, key_id)
            ends = old.scope.expires
            if old.revoked_at is not None or (ends is not None and ends <= now):
                raise KeyConflict(f"Key {key_id} is not good any more; create another instead.")
            if old.scope.not_before is not None and old.scope.not_before >= now:
                raise KeyConflict(f"Key {key_id} is not valid yet; revoke it and create another.")
            life = None if ends is None else now + (ends - old.created_at)
            scope = old.scope.model_copy(update={"not_before": None, "expires": life})
            key, row = self._new(old.team, "", scope, old.note)
            last = now + overlap if ends is None else min(ends, now + overlap)
            await self._set(connection, key_id, expires_at=last)
            await self._insert(connection, row, key_id)
            facts = {**_facts(row), "by": row.id, "until": last}
            await self._tell(connection, (actor, "key.rotate", key_id), facts)
        return key, row

    async def revoke(self, actor: str, key_id: str) -> StoredKey:
        """From now on nobody gets in with it; once is enough. KeyNotFound."""
        async with self._database.begin() as connection:
            row = await self._row(connection, key_id)
            if row.revoked_at is None:
                await self._set(connection, key_id, revoked_at=self._now())
                row = await self._row(connection, key_id)
            await self._tell(connection, (actor, "key.revoke", key_id), {"team": row.team})
        return row

    async def put_team(self, actor: str, name: str, scope: Scope) -> None:
        """What a team may do at most, for keys that are there too. KeyConflict for a team of the
        configuration, InvalidKey for a name that cannot be."""
        self._not_fixed(name)
        async with self._database.begin() as connection:
            await self._put_team(connection, name, scope)
            await self._tell(connection, (actor, "team.set", name), scope.model_dump(mode="json"))

    async def delete_team(self, actor: str, name: str) -> None:
        """Forget a team. TeamNotFound; KeyConflict while it has a key that is not revoked."""
        self._not_fixed(name)
        keys = tables.keys.c
        live = select(func.count()).where(keys.team == name, keys.revoked_at.is_(None))
        async with self._database.begin() as connection:
            if await connection.scalar(live):
                raise KeyConflict(f"Team {name} has keys; revoke them first.")
            gone = await connection.execute(delete(tables.teams).where(tables.teams.c.name == name))
            if not gone.rowcount:
                raise TeamNotFound
            await self._changed(connection)
            await self._tell(connection, (actor, "team.delete", name), {})

    def _new(self, team: str, key_id: str, scope: Lifetime, note: str) -> tuple[str, StoredKey]:
        key = new_key()
        digest = hash_key(key)
        name = key_id or f"{team[:50]}-{digest[:6]}"
        try:
            Team(name=team, keys=(KeyHash(id=name, sha256=digest),))
        except ValidationError:
            raise InvalidKey(
                "Names of teams and keys are letters, digits, '.', '_' and '-', at most 63, "
                "a letter or digit first."
            ) from None
        if clean(f"{team} {name} {note}").count:
            raise InvalidKey(_SHOWN_TO_MANY)
        if name in self._ids:
            raise KeyConflict(f"A key of teams.yaml is called {name}; choose another id.")
        if len(note) > _MOST_NOTE or not note.isprintable():
            raise InvalidKey(f"A note is one line of at most {_MOST_NOTE} characters.")
        row = StoredKey(name, team, digest, key[:_SHOWN], self._now(), scope, note=note)
        return key, row

    def _not_fixed(self, name: str) -> None:
        if name in self._fixed:
            raise KeyConflict(f"Team {name} is in teams.yaml; change it there.")
        try:
            Team(name=name)
        except ValidationError:
            raise InvalidKey(
                "A team's name is letters, digits, '.', '_' and '-', at most 63."
            ) from None
        if clean(name).count:
            raise InvalidKey(_SHOWN_TO_MANY)

    async def _team(self, connection: AsyncConnection, name: str) -> Scope | None:
        if name in self._fixed:
            return self._fixed[name]
        column = tables.teams.c.settings
        found = await connection.scalar(select(column).where(tables.teams.c.name == name))
        return None if found is None else Scope.model_validate(found)

    async def _put_team(self, connection: AsyncConnection, name: str, scope: Scope) -> None:
        now, settings = self._now(), scope.model_dump(mode="json", exclude_none=True)
        row = {"name": name, "settings": settings, "created_at": now, "updated_at": now}
        statement = self._database.insert(tables.teams).values(row)
        changed = {"settings": settings, "updated_at": now}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_=changed)
        )
        await self._changed(connection)

    async def _row(self, connection: AsyncConnection, key_id: str) -> StoredKey:
        if key_id in self._ids:
            raise KeyConflict(f"Key {key_id} is in the configuration; change it there.")
        try:
            Team(name=key_id)  # what no key can be called, PostgreSQL may not even take as text
        except ValidationError:
            raise KeyNotFound from None
        found = select(tables.keys).where(tables.keys.c.id == key_id).with_for_update()
        row = (await connection.execute(found)).one_or_none()
        if row is None:
            raise KeyNotFound
        return key_of(row._mapping)

    async def _insert(
        self, connection: AsyncConnection, row: StoredKey, replaces: str | None
    ) -> None:
        scope = row.scope
        values = {
            **{word: getattr(row, word) for word in ("id", "team", "sha256", "prefix")},
            "created_at": row.created_at,
            "not_before": scope.not_before,
            "expires_at": scope.expires,
            "models": list(scope.models),
            "routes": list(scope.routes),
            "roles": [str(role) for role in scope.roles or ()],
            "replaces": replaces,
            "note": row.note,
        }
        try:
            await connection.execute(tables.keys.insert().values(values))
        except IntegrityError:
            raise KeyConflict(
                f"A key called {row.id} is there already; choose another id."
            ) from None
        await self._changed(connection)

    async def _set(self, connection: AsyncConnection, key_id: str, **values: float) -> None:
        await connection.execute(
            update(tables.keys).where(tables.keys.c.id == key_id).values(**values)
        )
        await self._changed(connection)

    async def _tell(
        self, connection: AsyncConnection, who: tuple[str, str, str], facts: Mapping[str, Any]
    ) -> None:
        now = self._now()
        event = event_of(new_uid(now, secrets.token_bytes(10)), now, who, facts)
        await self._enter(connection, [event])

    async def _changed(self, connection: AsyncConnection) -> None:
        number = tables.revisions.c.number
        statement = self._database.insert(tables.revisions).values(name=REVISION, number=1)
        await connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"number": number + 1})
        )


def _check(team: Scope, scope: Lifetime) -> None:
    for word in ("models", "routes"):
        if narrowed(getattr(team, word), getattr(scope, word)) == NOTHING:
            allowed = ", ".join(getattr(team, word))
            raise InvalidKey(f"The key's {word} must be within those of its team: {allowed}.")


def _facts(row: StoredKey) -> dict[str, Any]:
    """What the audit log tells of a key. Not its prefix, which reads like a key and is taken out
    of anything that is written down; its id is the event's target."""
    return {"team": row.team, **row.scope.model_dump(mode="json")}
