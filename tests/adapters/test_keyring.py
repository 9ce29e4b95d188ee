"""Keys of the configuration and of the database as one dictionary."""

from __future__ import annotations

import pytest

from gateway.adapters.database import Database
from gateway.adapters.keyring import MergedKeys, keys_of
from gateway.adapters.stored_keys import Snapshot, StoredKey, StoredKeys
from gateway.domain.keyring import KeysUnknown
from gateway.domain.scope import NOTHING, ROLES, USUAL
from gateway.settings import KeyHash, Settings, Team
from gateway.settings.teams import Lifetime, Scope

A, B = "a" * 64, "b" * 64
IDE = Team(name="ide", models=("qwen-*",), keys=(KeyHash(id="ide-1", sha256=A),))


def stored(*keys: StoredKey, **teams: Scope) -> StoredKeys:
    found = StoredKeys(None)
    found.snapshot = Snapshot(1, keys, teams)
    return found


def row(team: str = "ide", sha256: str = B, revoked_at: float | None = None) -> StoredKey:
    return StoredKey("k", team, sha256, "sk-gw-x", 0.0, Lifetime(models=("qwen-a",)), revoked_at)


def test_keys_of_the_configuration_have_the_scope_of_their_team() -> None:
    key = KeyHash(id="ide-2", sha256=B, models=("qwen-a",), expires=1_900_000_000)
    team = IDE.model_copy(update={"keys": (*IDE.keys, key)})
    first, second = keys_of(Settings(teams=(team,))).values()
    assert (first.caller.team, first.caller.key_id) == ("ide", "ide-1")
    assert (first.caller.models, first.caller.roles, first.expires) == (("qwen-*",), USUAL, None)
    assert (second.caller.models, second.expires) == (("qwen-a",), 1_900_000_000)


@pytest.mark.parametrize(
    ("team", "key", "roles"),
    [(None, None, ROLES), (None, ("user",), {"user"}), (("author",), None, ROLES)],
)
def test_keys_of_the_admin_team_may_do_everything_unless_they_say_less(
    team: tuple[str, ...] | None, key: tuple[str, ...] | None, roles: set[str]
) -> None:
    keys = (KeyHash.model_validate({"id": "o-1", "sha256": A, "roles": key}),)
    operators = Team.model_validate({"name": "operators", "roles": team, "keys": keys})
    [known] = keys_of(Settings(teams=(operators,))).values()
    assert known.caller.roles == roles


def test_a_key_of_the_database_is_narrowed_by_its_team_wherever_that_is() -> None:
    keys = MergedKeys(Settings(teams=(IDE,)), stored(row(), ide=Scope(models=("other",))))
    known = keys.find(B)
    assert known is not None
    assert known.caller.models == ("qwen-a",)
    keys = MergedKeys(Settings(), stored(row(), ide=Scope(models=("other",))))
    known = keys.find(B)
    assert known is not None
    assert known.caller.models == NOTHING


def test_a_key_whose_team_is_gone_is_good_for_nothing() -> None:
    known = MergedKeys(Settings(), stored(row())).find(B)
    assert known is not None
    assert known.trouble(0.0) == "was revoked"


def test_what_the_database_has_revoked_no_file_brings_back() -> None:
    keys = MergedKeys(Settings(teams=(IDE,)), stored(row(sha256=A, revoked_at=1.0)))
    known = keys.find(A)
    assert known is not None
    assert known.revoked


def test_a_new_snapshot_holds_at_once() -> None:
    source = stored()
    keys = MergedKeys(Settings(), source)
    assert not keys.needed
    source.snapshot = Snapshot(2, (row(),), {"ide": Scope()})
    assert keys.needed
    assert keys.find(B)


def test_where_keys_are_required_no_key_opens_no_door() -> None:
    assert MergedKeys(Settings(identity={"required": True}), stored()).needed  # type: ignore[arg-type]


async def test_nobody_is_let_in_or_sent_away_for_good_while_the_database_is_unread() -> None:
    database = Database("postgresql://u:p@127.0.0.1:1/db")
    try:
        keys = MergedKeys(Settings(), StoredKeys(database))
        with pytest.raises(KeysUnknown):
            assert keys.needed
        keys = MergedKeys(Settings(teams=(IDE,)), StoredKeys(database))
        assert keys.needed
        assert keys.find(A)
        assert keys.find(B) is None
        with pytest.raises(KeysUnknown):
            keys.token("sk-gw-unknown", 0.0)
    finally:
        await database.aclose()
