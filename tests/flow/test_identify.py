"""Keys: who is let in, as whom, for what, and in which header."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.domain.call import Caller
from gateway.domain.errors import Unauthorized
from gateway.domain.keyring import FixedKeys, KnownKey, NotPermitted
from gateway.domain.scope import ROLES
from gateway.flow.identify import Identify, credential
from gateway.testing.fakes import a_call

KEY = "sk-gw-right"
CALLER = Caller("ide", "ide-1")


def identify(
    key: KnownKey | Caller | None = CALLER, *, now: float = 0.0, shown: str = KEY
) -> Identify:
    known: Mapping[str, KnownKey | Caller] = (
        {} if key is None else {hashlib.sha256(shown.encode()).hexdigest(): key}
    )
    return Identify(FixedKeys(known), lambda: now)


def test_a_known_key_is_its_team() -> None:
    call = a_call()
    call.credential = KEY
    assert identify()(call) == CALLER


@pytest.mark.parametrize("shown", [None, "", "sk-gw-wrong", KEY + " ", KEY.upper(), "\ud800"])
def test_no_key_or_another_is_refused_with_what_to_send(shown: str | None) -> None:
    call = a_call()
    call.credential = shown
    with pytest.raises(Unauthorized) as caught:
        identify()(call)
    assert caught.value.status == 401
    assert "sk-gw" not in caught.value.public + caught.value.detail


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KnownKey(CALLER, expires=10.0), "has expired"),
        (KnownKey(CALLER, not_before=11.0), "is not valid yet"),
        (KnownKey(CALLER, revoked=True), "was revoked"),
    ],
)
def test_a_key_that_is_not_good_now_is_told_why(key: KnownKey, said: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        identify(key, now=10.0).caller(KEY)
    assert said in caught.value.public


def test_without_configured_keys_everyone_is_anonymous_and_may_do_everything() -> None:
    call = a_call()
    call.credential = "whatever an OpenAI client must send"
    assert identify(None)(call) == Caller(roles=ROLES)


def test_a_call_needs_the_role_of_a_user() -> None:
    call = a_call()
    call.credential = KEY
    author = replace(CALLER, roles=frozenset({"author"}))
    with pytest.raises(NotPermitted) as caught:
        identify(author)(call)
    assert (caught.value.status, caught.value.code) == (403, "role_required")


def test_a_key_is_good_for_its_routes_alone() -> None:
    call = a_call()
    call.credential = KEY
    assert identify(replace(CALLER, routes=("/v1/*",)))(call)
    with pytest.raises(NotPermitted) as caught:
        identify(replace(CALLER, routes=("/api/ai/*",)))(call)
    assert caught.value.code == "route_not_permitted"


def test_a_key_is_good_for_its_models_alone_but_a_shadow_asks_what_it_must() -> None:
    call = a_call(model="big")
    call.caller = replace(CALLER, models=("big", "other-*"))
    Identify.permit(call)
    call.caller = replace(CALLER, models=("other-*",))
    with pytest.raises(NotPermitted) as caught:
        Identify.permit(call)
    assert caught.value.code == "model_not_permitted"
    call.shadow = True
    Identify.permit(call)


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "key"),
    [
        ("Bearer abc", None, "abc"),
        ("bearer  abc ", None, "abc"),
        (None, "abc", "abc"),
        ("Bearer abc", "other", "abc"),
        ("Basic abc", "other", "other"),
        ("Bearer", None, None),
        ("", "", None),
        (None, None, None),
    ],
)
def test_the_key_is_found_in_either_header(
    authorization: str | None, x_api_key: str | None, key: str | None
) -> None:
    assert credential(authorization, x_api_key) == key
