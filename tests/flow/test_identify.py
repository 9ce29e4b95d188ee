"""Keys: who is let in, as whom, and in which header."""

from __future__ import annotations

import hashlib

import pytest

from gateway.domain.call import Caller
from gateway.domain.errors import Unauthorized
from gateway.flow.identify import Identify, credential
from gateway.testing.fakes import a_call

KEY = "sk-gw-right"
KEYS = {hashlib.sha256(KEY.encode()).hexdigest(): Caller("ide", "ide-1")}


def test_a_known_key_is_its_team() -> None:
    call = a_call()
    call.credential = KEY
    assert Identify(KEYS)(call) == Caller("ide", "ide-1")


@pytest.mark.parametrize("shown", [None, "", "sk-gw-wrong", KEY + " ", KEY.upper()])
def test_no_key_or_another_is_refused_with_what_to_send(shown: str | None) -> None:
    call = a_call()
    call.credential = shown
    with pytest.raises(Unauthorized) as caught:
        Identify(KEYS)(call)
    assert caught.value.status == 401
    assert "sk-gw" not in caught.value.public + caught.value.detail


def test_without_configured_keys_everyone_is_anonymous() -> None:
    call = a_call()
    call.credential = "whatever an OpenAI client must send"
    assert Identify({})(call) == Caller()


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
