"""Every key there is, in one dictionary: of teams.yaml, the environment and the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from gateway.adapters.stored_keys import Snapshot, StoredKeys
from gateway.domain.call import Caller
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import KeysUnknown, KnownKey
from gateway.domain.scope import ROLES, USUAL, Role, narrowed
from gateway.settings import Settings
from gateway.settings.teams import Lifetime, Scope

if TYPE_CHECKING:
    from gateway.adapters.jwt_tokens import JwtTokens

_UNREAD = "the database was not read since the start"


class Bearer(Protocol):
    """Whom a good token is about, until when (epoch seconds)."""

    @property
    def team(self) -> str:
        """Its team."""

    @property
    def user(self) -> str:
        """The person."""

    @property
    def key_id(self) -> str:
        """The name of that person's tokens."""

    @property
    def roles(self) -> frozenset[str]:
        """Those that it names; none: its team's."""

    @property
    def expires(self) -> float:
        """Its end."""


class Tokens(Protocol):
    """Takes tokens that others have signed."""

    def read(self, credential: str, now: float) -> Bearer | None:
        """Whom a token is about, None for what is none. Unauthorized, KeysUnknown."""


class MergedKeys:
    """The keys of one configuration and those stored, joined again when either has changed.
    Satisfies domain.keyring.Keyring. A key that the database has as revoked is, wherever it is."""

    def __init__(
        self, settings: Settings, stored: StoredKeys, tokens: Tokens | None = None
    ) -> None:
        self._settings = settings
        self._stored = stored
        self._tokens = tokens
        self._fixed = keys_of(settings)
        self._teams: dict[str, Scope] = {team.name: team for team in settings.teams}
        self._always = settings.identity.required or tokens is not None
        self._seen: Snapshot | None = None
        self._keys: Mapping[str, KnownKey] = self._fixed

    @property
    def needed(self) -> bool:
        """Whether a call needs a key. KeysUnknown where only an unread database can tell."""
        if self._always or self._merged():
            return True
        if self._stored.unread:
            raise KeysUnknown(detail=_UNREAD)
        return False

    def find(self, digest: str) -> KnownKey | None:
        """The key with that hash. KeysUnknown where it may be in an unread database."""
        return self._merged().get(digest)

    @property
    def known(self) -> Mapping[str, KnownKey]:
        """Every key by its hash, as far as the database was read."""
        return self._merged()

    def token(self, credential: str, now: float) -> KnownKey | None:
        """See domain.keyring.Keyring. Asked last, so: KeysUnknown for what may be a key that is in
        an unread database."""
        bearer = self._tokens.read(credential, now) if self._tokens is not None else None
        if bearer is None:
            if self._stored.unread:
                raise KeysUnknown(detail=_UNREAD)
            return None
        team = self._teams.get(bearer.team) or self._stored.snapshot.teams.get(bearer.team)
        if team is None:
            raise Unauthorized(
                "The team of this token does not exist here; ask the gateway's operator.",
                detail=f"token of team {bearer.team!r}, which is nowhere",
            )
        roles = tuple(Role(role) for role in bearer.roles) or None
        operates = bearer.team == self._settings.server.admin_team
        own = Scope(roles=roles)
        caller = caller_of(bearer.team, bearer.key_id, team, own, operates=operates)
        return KnownKey(replace(caller, user=bearer.user), expires=bearer.expires)

    def _merged(self) -> Mapping[str, KnownKey]:
        snapshot = self._stored.snapshot
        if snapshot is not self._seen:
            self._keys, self._seen = self._join(snapshot), snapshot
        return self._keys

    def _join(self, snapshot: Snapshot) -> Mapping[str, KnownKey]:
        teams = {**snapshot.teams, **self._teams}
        found: dict[str, KnownKey] = {}
        for key in snapshot.keys:
            team = teams.get(key.team)
            operates = key.team == self._settings.server.admin_team
            # A team that is gone takes its limits with it: its keys must not become wider.
            gone = key.revoked_at is not None or team is None
            caller = caller_of(key.team, key.id, team or Scope(), key.scope, operates=operates)
            found[key.sha256] = KnownKey(caller, key.scope.not_before, key.scope.expires, gone)
        revoked = {digest for digest, key in found.items() if key.revoked}
        return found | {digest: key for digest, key in self._fixed.items() if digest not in revoked}


def tokens_of(settings: Settings) -> JwtTokens | None:
    """Those of the identity provider that is set, if one is."""
    if settings.identity.jwt is None:
        return None
    from gateway.adapters.jwt_tokens import JwtTokens  # its package is optional

    return JwtTokens(settings.identity.jwt)


@asynccontextmanager
async def watching(stored: StoredKeys, tokens: JwtTokens | None) -> AsyncIterator[None]:
    """Both are kept as their sources are while this lasts."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stored.watching())
        if tokens is not None:
            await stack.enter_async_context(tokens.watching())
        yield


def keys_of(settings: Settings) -> dict[str, KnownKey]:
    """SHA-256 of each key of the configuration → whose it is."""
    return {
        key.sha256: KnownKey(
            caller_of(
                *(team.name, key.id, team, key),
                operates=team.name == settings.server.admin_team,
            ),
            key.not_before,
            key.expires,
        )
        for team in settings.teams
        for key in team.keys
    }


def caller_of(
    team: str, key_id: str, scope: Scope, own: Lifetime | Scope, *, operates: bool
) -> Caller:
    """Who shows a key: within the `scope` of its team, narrowed by its `own`. Keys of the team that
    `operates` may do everything, unless they have roles of their own."""
    roles = own.roles if own.roles is not None else scope.roles
    kept = frozenset(str(role) for role in roles) if roles is not None else USUAL
    if operates and own.roles is None:
        kept = ROLES
    return Caller(
        team,
        key_id,
        roles=kept,
        models=narrowed(scope.models, own.models),
        routes=narrowed(scope.routes, own.routes),
    )
