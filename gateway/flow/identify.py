"""Room 2: the key that a client shows becomes a caller and a team, and what the key is good for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from gateway.domain.call import Call, Caller
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import Keyring, NotPermitted
from gateway.domain.scope import ROLES, USUAL, covers

# Nobody needs a key: what a gateway on loopback does while one develops.
_ANYBODY = Caller(roles=ROLES)


class Identify:
    """Who asks, and whether they may. `now` gives epoch seconds.

    Plain keys are never held: a look-up by digest tells an attacker's clock nothing about a key.
    """

    def __init__(self, keys: Keyring, now: Callable[[], float]) -> None:
        self._keys = keys
        self._now = now

    def __call__(self, call: Call) -> Caller:
        """Who asks. Unauthorized when keys are needed and this is none that is good; NotPermitted
        when it is not good for this route."""
        caller = self.caller(call.credential)
        self.admit(caller, call.path)
        return caller

    def caller(self, credential: str | None) -> Caller:
        """Whose key this is. Unauthorized as above."""
        if not self._keys.needed:
            return _ANYBODY
        if credential is None:
            raise Unauthorized(detail="no key given")
        now = self._now()
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).hexdigest()
        key = self._keys.find(digest) or self._keys.token(credential, now)
        if key is None:
            raise Unauthorized("That key is not known here.", detail="unknown key")
        if trouble := key.trouble(now):
            detail = f"key {key.caller.key_id!r} {trouble}"
            raise Unauthorized(f"This key {trouble}; ask for a new one.", detail=detail)
        return key.caller

    @staticmethod
    def admit(caller: Caller, route: str, roles: frozenset[str] = USUAL) -> None:
        """Lets in who has one of the roles (an empty set asks for none) and the route in reach.
        NotPermitted."""
        if roles and not roles & caller.roles:
            wanted = " or ".join(sorted(roles))
            raise NotPermitted(
                f"This needs a key with the role {wanted}; ask the gateway's operator.",
                detail=f"key {caller.key_id!r} has not the role {wanted}",
                code="role_required",
            )
        if caller.routes and not covers(caller.routes, route):
            raise NotPermitted(
                f"This key is not good for {route}; ask the gateway's operator for one that is.",
                detail=f"key {caller.key_id!r} is not good for {route}",
                code="route_not_permitted",
            )

    @staticmethod
    def permit(call: Call) -> None:
        """Whether its caller may ask for the model that the call names. NotPermitted, which does
        not say whether there is such a model. What a shadow asks, no client chose."""
        if call.caller.models and not call.shadow and not covers(call.caller.models, call.model):
            raise NotPermitted(
                "This key is not good for that model; GET /v1/models lists those that it is for.",
                detail=f"key {call.caller.key_id!r} is not good for model {call.model[:200]!r}",
                param="model",
                code="model_not_permitted",
            )


def credential(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key in `Authorization: Bearer …` or, failing that, in `x-api-key`."""
    if authorization:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return x_api_key.strip() if x_api_key and x_api_key.strip() else None
