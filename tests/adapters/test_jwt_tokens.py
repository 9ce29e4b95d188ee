"""Tokens with real signatures: which are good, as whom, and every way in which they are not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.adapters.jwt_tokens import JwtTokens
from gateway.adapters.keyring import MergedKeys
from gateway.adapters.stored_keys import StoredKeys
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import KeysUnknown
from gateway.flow.identify import Identify
from gateway.settings import Settings, Team
from gateway.settings.identity import Jwt
from tests.adapters.identity_provider import AUDIENCE, ISSUER, Provider, provider


@pytest.fixture(scope="module")
def login() -> Iterator[Provider]:
    with provider() as running:
        yield running


def settings_of(jwks: str, **more: Any) -> Jwt:
    words = {"issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks, "teams": {"dev": "ide"}}
    return Jwt.model_validate({**words, "leeway_s": 0, **more})


@pytest.fixture
async def tokens(login: Provider, tmp_path: Path) -> JwtTokens:
    return await tokens_of(login, tmp_path)


async def tokens_of(login: Provider, tmp_path: Path, **more: Any) -> JwtTokens:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(login.jwks))
    found = JwtTokens(settings_of(str(file), **more))
    await found.keys.refresh()
    return found


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_signed_token_is_a_person_of_a_team(
    tokens: JwtTokens, login: Provider, algorithm: str
) -> None:
    bearer = tokens.read(login.sign(algorithm), time.time())
    assert bearer is not None
    assert (bearer.team, bearer.user) == ("ide", "ada")
    again = tokens.read(login.sign(algorithm, jti="2"), time.time())
    assert again is not None
    other = tokens.read(login.sign(algorithm, sub="bob"), time.time())
    assert other is not None
    assert bearer.key_id == again.key_id != other.key_id


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 10**400},
        {"nbf": 9_999_999_999},
        {"groups": ["admins"]},
        {"groups": None},
        {"groups": {"dev": 1}},
    ],
)
def test_a_token_that_is_not_for_us_is_refused(
    tokens: JwtTokens, login: Provider, claims: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized) as caught:
        tokens.read(login.sign(**claims), time.time())
    assert "ada" not in caught.value.public + caught.value.detail


def test_a_token_that_nobody_signed_or_another_is_refused(
    tokens: JwtTokens, login: Provider
) -> None:
    good = login.sign()
    head, body, signature = good.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"RS256"}').rstrip(b"=").decode()
    public = str(login.public("RS256")["n"])
    claims = jwt.decode(good, options={"verify_signature": False})
    shared = jwt.encode(claims, public, "HS256", headers={"kid": "RS256"})
    forged = Provider().sign()
    for token in (
        f"{head}.{body}.",
        f"{none}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        shared,
        forged,
        login.sign("ES256", kid="RS256"),
        "eyJ.x.y",
        "eyJ" + "x" * 20_000 + ".a.b",
        f"{good}\udcff",
    ):
        with pytest.raises(Unauthorized):
            tokens.read(token, time.time())


def test_what_is_no_token_is_none_of_ours(tokens: JwtTokens) -> None:
    for text in ("sk-gw-abc", "a.b.c", "eyJ", "eyJ.a"):
        assert tokens.read(text, time.time()) is None


def test_a_remembered_token_ends_when_it_says(tokens: JwtTokens, login: Provider) -> None:
    now = time.time()
    token = login.sign(exp=now + 30)
    assert tokens.read(token, now)
    with pytest.raises(Unauthorized, match="expired"):
        tokens.read(token, now + 31)


async def test_an_algorithm_must_be_allowed(login: Provider, tmp_path: Path) -> None:
    tokens = await tokens_of(login, tmp_path, algorithms=["ES256"])
    assert tokens.read(login.sign("ES256"), time.time())
    with pytest.raises(Unauthorized):
        tokens.read(login.sign("RS256"), time.time())


async def test_keys_come_by_http_and_a_new_one_is_looked_for_once(login: Provider) -> None:
    tokens = JwtTokens(settings_of(login.url))
    with pytest.raises(KeysUnknown):  # nobody waited for the keys
        tokens.read(login.sign(), time.time())
    await tokens.keys.refresh()
    assert tokens.read(login.sign(), time.time())
    fresh = login.sign(kid="new")
    with pytest.raises(KeysUnknown):
        tokens.read(fresh, time.time())
    with pytest.raises(Unauthorized):  # not at once again
        tokens.read(fresh, time.time())
    login.jwks["keys"].append(login.public("RS256", "new"))
    try:
        await tokens.keys.refresh()
        assert tokens.read(fresh, time.time())
    finally:
        login.jwks["keys"].pop()
    await tokens.keys.refresh()
    with pytest.raises(Unauthorized):  # a key that was withdrawn takes its tokens with it
        tokens.read(fresh, time.time())


def test_a_person_has_the_scope_of_the_team_and_the_roles_of_the_token(
    login: Provider, tmp_path: Path
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(login.jwks))
    words = {"roles_claim": "realm.roles", "roles": {"writers": "author"}}
    own = settings_of(str(file), **words)
    team = Team(name="ide", models=("qwen-*",))
    settings = Settings(teams=(team,), identity={"jwt": own})  # type: ignore[arg-type]
    tokens = JwtTokens(own)
    tokens.keys.keys = {"RS256": ("", login.private["RS256"].public_key())}
    tokens.keys.read = True
    identify = Identify(MergedKeys(settings, StoredKeys(None), tokens), time.time)

    caller = identify.caller(login.sign(realm={"roles": ["writers", "else"]}))
    assert (caller.team, caller.user, caller.models) == ("ide", "ada", ("qwen-*",))
    assert caller.roles == {"author"}
    assert identify.caller(login.sign()).roles == {"user"}
    with pytest.raises(Unauthorized):
        identify.caller("sk-gw-unknown")
    nowhere = Settings(identity={"jwt": own})  # type: ignore[arg-type]
    with pytest.raises(Unauthorized, match="nowhere"):
        Identify(MergedKeys(nowhere, StoredKeys(None), tokens), time.time).caller(login.sign())
