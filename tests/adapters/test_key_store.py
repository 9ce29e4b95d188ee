"""Keys and teams in the database: made, rotated, revoked, and nothing but hashes kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.adapters import audit_chain, tables
from gateway.adapters.database import Database
from gateway.adapters.key_store import (
    InvalidKey,
    KeyConflict,
    KeyNotFound,
    KeyStore,
    TeamNotFound,
    new_key,
)
from gateway.adapters.stored_keys import StoredKeys
from gateway.domain.audit import Event
from gateway.domain.errors import DatabaseUnavailable
from gateway.settings import KeyHash, Team, hash_key
from gateway.settings.teams import Lifetime, Scope
from tests.adapters.databases import a_database, database_url, postgres

__all__ = ["a_database", "database_url", "postgres"]

NOW = 1_800_000_000.0
FIXED = (Team(name="fixed", models=("qwen-*",), keys=(KeyHash(id="f-1", sha256="a" * 64),)),)


class Heard:
    """An audit log, and a clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, Mapping[str, Any]]] = []
        self.now = NOW
        self.full = False

    async def enter(self, connection: AsyncConnection, events: Sequence[Event]) -> None:
        if self.full:
            raise DatabaseUnavailable(detail="full")
        await audit_chain.append(connection, events)
        for one in events:
            self.events.append((one.actor, one.action, one.target, json.loads(one.facts)))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def store(a_database: Database, heard: Heard) -> KeyStore:
    return KeyStore(a_database, FIXED, lambda: heard.now, heard.enter)


async def test_a_key_is_shown_once_and_kept_as_a_hash(
    store: KeyStore, a_database: Database, heard: Heard
) -> None:
    key, row = await store.create("cli:me", "ide", Lifetime(models=("m",)), note="for CI")

    assert key.startswith(row.prefix)
    assert len(key) - len(row.prefix) > 30
    assert row.sha256 == hash_key(key)
    async with a_database.reading() as connection:
        rows = [str(tuple(one)) for one in await connection.execute(select(tables.keys))]
    assert key not in str(rows) + str(heard.events) + repr(row)
    assert [(one[0], one[1], one[2]) for one in heard.events] == [("cli:me", "key.create", row.id)]
    snapshot = await store.every()
    assert snapshot.keys == (row,)
    assert snapshot.teams == {"ide": Scope()}


async def test_a_rotated_key_works_on_for_a_while(store: KeyStore, heard: Heard) -> None:
    scope = Lifetime(routes=("/v1/*",), expires=NOW + 1000)
    await store.create("me", "ide", scope, key_id="old")
    heard.now += 100

    key, new = await store.rotate("me", "old", 50)

    first, second = sorted((await store.every()).keys, key=lambda one: one.created_at)
    assert (first.id, first.scope.expires) == ("old", NOW + 150)
    assert (second.id, second.replaces, second.sha256) == (new.id, "old", hash_key(key))
    assert (second.scope.routes, second.scope.expires) == (("/v1/*",), NOW + 1100)
    heard.now += 100
    with pytest.raises(KeyConflict):
        await store.rotate("me", "old", 50)


async def test_a_rotation_never_makes_a_key_live_longer(store: KeyStore) -> None:
    await store.create("me", "ide", Lifetime(expires=NOW + 10), key_id="old")
    await store.rotate("me", "old", 1000)
    [old] = [one for one in (await store.every()).keys if one.id == "old"]
    assert old.scope.expires == NOW + 10


async def test_a_key_is_revoked_once_and_stays_so(store: KeyStore, heard: Heard) -> None:
    await store.create("me", "ide", Lifetime(), key_id="k")
    assert (await store.revoke("me", "k")).revoked_at == NOW
    heard.now += 5
    assert (await store.revoke("me", "k")).revoked_at == NOW
    with pytest.raises(KeyConflict):
        await store.rotate("me", "k", 10)
    with pytest.raises(KeyNotFound):
        await store.revoke("me", "nobody")


async def test_every_change_is_a_new_revision(store: KeyStore, a_database: Database) -> None:
    keys = StoredKeys(a_database)
    seen = []

    async def see() -> None:
        await keys.refresh()
        seen.append(keys.snapshot.revision)

    await see()
    await store.create("me", "ide", Lifetime(), key_id="k")
    await see()
    await store.put_team("me", "ide", Scope(models=("m",)))
    await see()
    await store.revoke("me", "k")
    await see()
    await store.delete_team("me", "ide")
    await see()
    assert seen == sorted(set(seen))


@pytest.mark.parametrize(
    ("team", "key_id", "scope", "error"),
    [
        ("a b", "", Lifetime(), InvalidKey),
        ("ide", "x:y", Lifetime(), InvalidKey),
        ("ide", "f-1", Lifetime(), KeyConflict),
        ("ide", "twice", Lifetime(), KeyConflict),
        ("fixed", "", Lifetime(models=("llama",)), InvalidKey),
    ],
)
async def test_what_makes_no_sense_is_refused(
    store: KeyStore, team: str, key_id: str, scope: Lifetime, error: type[Exception]
) -> None:
    await store.create("me", "ide", Lifetime(), key_id="twice")
    with pytest.raises(error):
        await store.create("me", team, scope, key_id=key_id)
    assert len((await store.every()).keys) == 1


@pytest.mark.parametrize("field", ["team", "key_id", "note"])
async def test_a_key_in_the_place_of_a_name_is_refused(store: KeyStore, field: str) -> None:
    words = {"team": "ide", "key_id": "k", "note": "", field: new_key()}
    with pytest.raises(InvalidKey) as refused:
        await store.create(
            "me", words["team"], Lifetime(), key_id=words["key_id"], note=words["note"]
        )
    assert words[field] not in refused.value.public
    with pytest.raises(InvalidKey):
        await store.put_team("me", new_key(), Scope())


async def test_what_is_in_the_configuration_is_changed_there(store: KeyStore) -> None:
    with pytest.raises(KeyConflict):
        await store.revoke("me", "f-1")
    with pytest.raises(KeyConflict):
        await store.put_team("me", "fixed", Scope())


async def test_a_team_goes_when_its_keys_have_gone(store: KeyStore) -> None:
    await store.create("me", "ide", Lifetime(), key_id="k")
    with pytest.raises(KeyConflict):
        await store.delete_team("me", "ide")
    await store.revoke("me", "k")
    await store.delete_team("me", "ide")
    with pytest.raises(TeamNotFound):
        await store.delete_team("me", "ide")


async def test_a_key_that_has_not_begun_is_not_rotated(store: KeyStore) -> None:
    begins = Lifetime(not_before=NOW + 60)
    _, row = await store.create("me", "ide", begins, key_id="early")
    with pytest.raises(KeyConflict, match="not valid yet"):
        await store.rotate("me", "early", 10)
    assert (await store.every()).keys == (row,)


@pytest.mark.parametrize("name", ["a\0b", "\udc80", "x" * 5000])
async def test_a_name_that_no_key_can_have_is_not_found(store: KeyStore, name: str) -> None:
    with pytest.raises(KeyNotFound):
        await store.revoke("me", name)
    with pytest.raises(KeyNotFound):
        await store.rotate("me", name, 10)


async def test_a_change_that_cannot_be_entered_in_the_audit_log_is_not_made(
    store: KeyStore, a_database: Database, heard: Heard
) -> None:
    _, row = await store.create("cli:me", "ide", Lifetime())
    await store.put_team("cli:me", "empty", Scope())
    before = await store.every()
    heard.full = True

    for change in (
        store.create("cli:me", "new", Lifetime()),
        store.rotate("cli:me", row.id, 60.0),
        store.revoke("cli:me", row.id),
        store.put_team("cli:me", "ide", Scope(models=("m",))),
        store.delete_team("cli:me", "empty"),
    ):
        with pytest.raises(DatabaseUnavailable):
            await change

    assert await store.every() == before
    entered = [one.event.action async for one in audit_chain.rows(a_database)]
    assert entered == ["key.create", "team.set"]


async def test_a_change_that_is_undone_is_not_in_the_audit_log(
    a_database: Database, heard: Heard
) -> None:
    async def die(connection: AsyncConnection, events: Sequence[Event]) -> None:
        await audit_chain.append(connection, events)
        raise DatabaseUnavailable(detail="gone before the commit")

    store = KeyStore(a_database, FIXED, lambda: heard.now, die)
    with pytest.raises(DatabaseUnavailable):
        await store.create("cli:me", "ide", Lifetime())

    assert not (await store.every()).keys
    assert [one async for one in audit_chain.rows(a_database)] == []
