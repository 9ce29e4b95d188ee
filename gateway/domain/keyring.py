"""Keys that the gateway knows, and what a caller may not do: Keyring, KnownKey, NotPermitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.call import Caller
from gateway.domain.errors import GatewayError


class NotPermitted(GatewayError):
    """A key that is known, and may not do this."""

    status = 403
    code = "not_permitted"
    type = "permission_error"
    default_public = "This key may not do that; ask the gateway's operator for one that may."


class KeysUnknown(GatewayError):
    """The database that has the keys was not read since the start: this key may be one of them."""

    status = 503
    code = "keys_unavailable"
    default_public = "The gateway's database of keys does not answer; try again soon."

    def __init__(self, *, detail: str = "") -> None:
        super().__init__(detail=detail, retry_after=2.0)


@dataclass(frozen=True, slots=True)
class KnownKey:
    """Whose a key is, and when it is good. Times are epoch seconds, None for no bound."""

    caller: Caller
    not_before: float | None = None
    expires: float | None = None
    revoked: bool = False

    def trouble(self, now: float) -> str:
        """Why the key is not good at `now`, as the end of "This key …"; "" while it is."""
        if self.revoked:
            return "was revoked"
        if self.expires is not None and now >= self.expires:
            return "has expired"
        if self.not_before is not None and now < self.not_before:
            return "is not valid yet"
        return ""


class Keyring(Protocol):
    """Every key there is, in memory: asking it never waits for anything."""

    @property
    def needed(self) -> bool:
        """Whether a call needs a key. KeysUnknown where nobody can tell yet."""

    def find(self, digest: str) -> KnownKey | None:
        """The key with that SHA-256 (hex). KeysUnknown where it may be in an unread database."""

    def token(self, credential: str, now: float) -> KnownKey | None:
        """Whose token this is, where tokens are taken and it is one: Unauthorized if it is one
        that is not good. None for what is no token."""


class FixedKeys:
    """A keyring of these keys and no tokens. With none at all, nobody needs one."""

    def __init__(self, keys: Mapping[str, KnownKey | Caller]) -> None:
        self._keys = {
            digest: KnownKey(key) if isinstance(key, Caller) else key
            for digest, key in keys.items()
        }

    @property
    def needed(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def find(self, digest: str) -> KnownKey | None:
        """See Keyring."""
        return self._keys.get(digest)

    def token(self, credential: str, now: float) -> KnownKey | None:
        """There are none."""
        return None
