"""Tokens (JWT) of an identity provider: who they say is asking, once their signature holds."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.exceptions import InvalidKeyError, PyJWTError

from gateway.adapters.signing_keys import SigningKeys
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import KeysUnknown
from gateway.settings.identity import Jwt

_MOST_CHARS = 16_384
_MOST_TOKENS = 4096
_MOST_USER = 128
_BAD = "This token is not good here; sign in again for a new one."


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a good token is about, until `expires` (epoch seconds). `key_id` is one of a person."""

    team: str
    user: str
    key_id: str
    roles: frozenset[str]
    expires: float


class JwtTokens:
    """Takes what is signed by one of the provider's keys, for us, and in time. A token that was
    checked is remembered by its whole SHA-256, until it ends or the keys change."""

    def __init__(self, settings: Jwt) -> None:
        self._settings = settings
        self._known: OrderedDict[bytes, Bearer] = OrderedDict()
        self.keys = SigningKeys(settings.jwks, settings.refresh_s, _public)
        self.keys.told = self._known.clear

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """The provider's keys are kept fresh while this lasts."""
        async with self.keys.watching():
            yield

    def read(self, credential: str, now: float) -> Bearer | None:
        """Whose token this is; None for what is none. Unauthorized for one that is not good,
        KeysUnknown while the key that it names is being looked for."""
        if not credential.startswith("eyJ") or credential.count(".") != 2:
            return None
        if len(credential) > _MOST_CHARS:
            raise Unauthorized(_BAD, detail="a token that is too long")
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        bearer = self._known.get(digest)
        if bearer is None:
            bearer = self._verified(credential)
            self._known[digest] = bearer
            if len(self._known) > _MOST_TOKENS:
                self._known.popitem(last=False)
        if now >= bearer.expires:
            self._known.pop(digest, None)
            raise Unauthorized("This token has expired; sign in again.", detail="token expired")
        return bearer

    def _verified(self, token: str) -> Bearer:
        own = self._settings
        try:
            head = jwt.get_unverified_header(token)
            algorithm = head.get("alg")
            if algorithm not in own.algorithms:
                raise InvalidKeyError("an algorithm that is not allowed")
            claims = jwt.decode(
                token,
                self._key(head, algorithm),
                algorithms=[algorithm],
                audience=own.audience,
                issuer=own.issuer,
                leeway=own.leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
            return self._bearer(claims)
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise Unauthorized(_BAD, detail=f"token: {type(error).__name__}") from None

    def _key(self, head: dict[str, Any], algorithm: str) -> Any:
        """The public key that the token names; the only one where it names none."""
        keys, kid = self.keys.keys, head.get("kid")
        if not self.keys.read:
            raise KeysUnknown(detail="identity.jwt.jwks was not read since the start")
        if kid is None and len(keys) == 1:
            [found] = keys.values()
        else:
            found = keys.get(kid) if isinstance(kid, str) else None
        if found is None:
            if self.keys.ask():
                raise KeysUnknown(detail="a token with a new key id")
            raise InvalidKeyError("a key that is not known")
        named, key = found
        if named and named != algorithm:
            raise InvalidKeyError("a key of another algorithm")
        return key

    def _bearer(self, claims: dict[str, Any]) -> Bearer:
        own = self._settings
        teams = [own.teams[name] for name in _names(claims, own.team_claim) if name in own.teams]
        if not teams:
            raise Unauthorized(
                "This token belongs to no team here; ask the gateway's operator.",
                detail=f"token: nothing in {own.team_claim!r} is in identity.jwt.teams",
            )
        roles = _names(claims, own.roles_claim) if own.roles_claim else []
        user = claims.get(own.user_claim)
        user = user if isinstance(user, str) else str(claims.get("sub", ""))
        person = hashlib.sha256(f"{own.issuer}\0{user}".encode()).hexdigest()[:12]
        shown = "".join(char for char in user if char.isprintable())[:_MOST_USER]
        return Bearer(
            team=teams[0],
            user=shown,
            key_id=f"jwt-{person}",
            roles=frozenset(str(own.roles[name]) for name in roles if name in own.roles),
            expires=float(claims["exp"]) + own.leeway_s,
        )


def _names(claims: dict[str, Any], claim: str) -> list[str]:
    """A claim that is a name, or a list of names. A dot goes down: realm_access.roles."""
    found: Any = claims.get(claim)
    if found is None and "." in claim:
        found = claims
        for step in claim.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, str):
        return [found]
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _public(row: dict[str, Any]) -> tuple[str, Any] | None:
    """The algorithm that a key of a JWKS names ("" for none) and the key; None for one that we
    cannot use: a secret, a curve that nobody knows."""
    if row.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    try:
        return str(row.get("alg", "")), jwt.PyJWK(row).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
