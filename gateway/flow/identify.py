"""Room 2: the key that a client shows becomes a caller and a team."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from gateway.domain.call import Call, Caller
from gateway.domain.errors import Unauthorized


class Identify:
    """`keys` maps the SHA-256 (hex) of each key to its caller; plain keys are never held.

    With no keys at all every caller is anonymous: what a gateway on loopback does while one
    develops. A look-up by digest tells an attacker's clock nothing about the key.
    """

    def __init__(self, keys: Mapping[str, Caller]) -> None:
        self._keys = dict(keys)

    def __call__(self, call: Call) -> Caller:
        """Who asks. Unauthorized when keys are configured and this is none of them."""
        return self.caller(call.credential)

    def caller(self, credential: str | None) -> Caller:
        """Whose key this is. Unauthorized as above."""
        if not self._keys:
            return Caller()
        if credential is None:
            raise Unauthorized(detail="no key given")
        digest = hashlib.sha256(credential.encode()).hexdigest()
        caller = self._keys.get(digest)
        if caller is None:
            raise Unauthorized("That key is not known here.", detail="unknown key")
        return caller


def credential(authorization: str | None, x_api_key: str | None) -> str | None:
    """The key in `Authorization: Bearer …` or, failing that, in `x-api-key`."""
    if authorization:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return x_api_key.strip() if x_api_key and x_api_key.strip() else None
