"""A provider's keys: read in the background, kept while it is away, rubbish refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.adapters.signing_keys import SigningKeys
from tests.adapters.identity_provider import Provider, provider
from tests.flow.house import until


@pytest.fixture
def login() -> Iterator[Provider]:
    with provider() as running:
        yield running


def keys_of(login: Provider, every: float = 60.0) -> SigningKeys:
    return SigningKeys(login.url, every, lambda row: row["kty"])


async def test_keys_are_read_without_anybody_waiting_and_again_when_asked(login: Provider) -> None:
    keys = keys_of(login)
    async with keys.watching():
        assert not keys.read
        await until(lambda: keys.read)
        assert keys.keys == {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
        assert keys.ask()
        assert not keys.ask()
        await until(lambda: login.asked == 2)


async def test_a_provider_that_is_away_takes_no_key_with_it(login: Provider) -> None:
    keys = keys_of(login)
    await keys.refresh()
    login.up = False
    with pytest.raises(ValueError, match="status 500"):
        await keys.refresh()
    assert len(keys.keys) == 3


@pytest.mark.parametrize("jwks", [[], {}, {"keys": 3}])
async def test_what_is_no_jwks_changes_nothing(login: Provider, jwks: Any) -> None:
    keys = keys_of(login)
    await keys.refresh()
    login.jwks = jwks
    with pytest.raises(ValueError, match="no JWKS"):
        await keys.refresh()
    assert len(keys.keys) == 3


async def test_keys_for_encryption_sign_nothing(login: Provider) -> None:
    login.jwks["keys"][0]["use"] = "enc"
    keys = keys_of(login)
    await keys.refresh()
    assert set(keys.keys) == {"ES256", "EdDSA"}
