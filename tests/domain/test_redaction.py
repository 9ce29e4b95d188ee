"""Secrets are blotted out wherever they hide; what is harmless stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.redaction import REDACTED, redact, redact_text, secret_name, suspicious

# Put together here, so that no scanner takes this file for a leak.
CANARIES = {
    "openai": "sk-" + "proj-Canary0123456789",
    "github": "ghp_" + "Canary0123456789Canary0123456789abcd",
    "github_app": "ghs_" + "Canary0123456789Canary0123456789abcd",
    "github_fine": "github_pat_" + "11CANARY0123456789_abcdef",
    "aws": "AKIA" + "CANARY0123456789",
    "slack": "xoxb-" + "123456-canary-abcdef",
    "gitlab": "glpat-" + "Canary0123456789abcd",
    "hugging_face": "hf_" + "Canary0123456789abcdefgh",
    "jwt": "eyJ" + "hbGciOiJI.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "pem": "-----BEGIN RSA " + "PRIVATE KEY-----\nCanary\n-----END RSA " + "PRIVATE KEY-----",
    "pem_cut": "-----BEGIN " + "PRIVATE KEY-----\nCanary\nand more",
}

every_canary = pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES.keys())


@every_canary
@pytest.mark.parametrize("text", ["{}", "key={}", "the key '{}' is wrong", "https://host/?k={}"])
def test_a_value_that_looks_like_a_secret_is_gone(canary: str, text: str) -> None:
    clean = redact_text(text.format(canary))
    assert REDACTED in clean
    assert "anary" not in clean
    assert canary not in clean


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer my.own.Canary",
        "authorization: Basic Q2FuYXJ5Q2FuYXJ5",
        "{'x-api-key': 'myownCanary'}",
        '{"api_key":"myownCanary"}',
        "[(b'authorization', b'Bearer myownCanary')]",
        "[(b'x-api-key', b'myownCanary')]",
        "client_secret=myownCanary&x=1",
        "password: myownCanary",
        "Cookie: a=myown; b=Canary",
        "postgresql://gateway:myownCanary@db/usage",
        "redis://:myownCanary@cache:6379",
    ],
)
def test_a_value_that_follows_a_telling_name_is_gone(text: str) -> None:
    clean = redact_text(text)
    assert "Canary" not in clean
    assert "Q2FuYXJ5" not in clean
    assert REDACTED in clean


@pytest.mark.parametrize(
    "text",
    [
        "replica a answered 503",
        "task-1234567890 is done",
        "prompt_tokens=31 completion_tokens=8",
        "code/explain@1.2.0+4f5e6d7c8b9a",
        "GET http://10.0.0.1:8001/v1/models refused",
        "Unexpected token } in JSON",
        "no token, so it is refused",
        "ask me@example.org",
    ],
)
def test_a_harmless_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "name",
    [
        *("authorization", "Proxy-Authorization", "x-api-key", "API_KEY", "openai_api_key"),
        *("set-cookie", "token", "access_token", "client_secret", "password", "apiKey"),
        "private_key",
    ],
)
def test_a_telling_name_is_known(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize(
    "name", ["prompt_tokens", "max_tokens", "key_id", "team", "tokenizer", "secretary", "keys"]
)
def test_a_harmless_name_is_known(name: str) -> None:
    assert not secret_name(name)


def test_fields_are_redacted_by_name_at_any_depth() -> None:
    field = {
        "headers": {"Authorization": "short", "host": "a"},
        "pairs": [(b"x-api-key", b"short"), (b"host", b"a")],
        "tokens": 3,
        "first_token_seconds": 0.5,
        "cookies": None,
    }
    assert redact(field) == {
        "headers": {"Authorization": REDACTED, "host": "a"},
        "pairs": [["x-api-key", REDACTED], ["host", "a"]],
        "tokens": 3,
        "first_token_seconds": 0.5,
        "cookies": None,
    }


def test_anything_else_becomes_its_redacted_text() -> None:
    class Thing:
        def __str__(self) -> str:
            return f"Thing({CANARIES['openai']})"

    assert redact([Thing(), 1, True]) == [f"Thing({REDACTED})", 1, True]


def test_a_nest_without_end_comes_to_an_end() -> None:
    nest: list[object] = [CANARIES["openai"]]
    nest.append(nest)
    assert "Canary" not in str(redact(nest))


@given(st.sampled_from(sorted(CANARIES.values())), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_slips_past_the_cheap_look(canary: str, before: str, after: str) -> None:
    assert suspicious(before + canary + after)


@given(
    st.lists(
        st.sampled_from(
            [
                *CANARIES.values(),
                *("api_key=", "'token': '", "Bearer ", "cookie: ", "://a:b@", "sk-"),
                *("abcdefghij", " ", "'", '"', ", ", "\n"),
            ]
        ),
        max_size=6,
    ).map("".join)
)
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
    assert once == text or suspicious(text)
