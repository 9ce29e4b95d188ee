"""When a key is good, and a keyring of fixed ones."""

from __future__ import annotations

import pytest

from gateway.domain.call import Caller
from gateway.domain.keyring import FixedKeys, KnownKey

WHO = Caller("ide", "ide-1")


@pytest.mark.parametrize(
    ("key", "trouble"),
    [
        (KnownKey(WHO), ""),
        (KnownKey(WHO, revoked=True), "was revoked"),
        (KnownKey(WHO, expires=10.0), "has expired"),
        (KnownKey(WHO, expires=10.1), ""),
        (KnownKey(WHO, not_before=10.1), "is not valid yet"),
        (KnownKey(WHO, not_before=10.0, expires=20.0), ""),
    ],
)
def test_a_key_is_good_from_its_beginning_until_its_end(key: KnownKey, trouble: str) -> None:
    assert key.trouble(10.0) == trouble


def test_a_fixed_keyring_is_asked_for_only_where_it_has_a_key() -> None:
    assert not FixedKeys({}).needed
    keys = FixedKeys({"a" * 64: WHO})
    assert keys.needed
    assert keys.find("a" * 64) == KnownKey(WHO)
    assert keys.find("b" * 64) is None
    assert keys.token("eyJ", 0.0) is None
