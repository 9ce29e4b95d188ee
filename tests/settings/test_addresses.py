"""Addresses in settings: which URLs are refused, and who may be reached from outside."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from gateway.settings.addresses import Network, http_url, is_loopback


@pytest.mark.parametrize(
    "url",
    [
        "gpu:8000/v1",
        "ftp://gpu/v1",
        "http://",
        "http://gpu:port/v1",
        "http://gpu:99999/v1",
        "http://user:password@gpu/v1",
        "http://gpu/v1?key=1",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as caught:
        http_url(url)

    assert "password" not in str(caught.value).replace("user, password", "")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("gateway.internal", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_only_this_machine_counts_as_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.0.0.7", "10.0.0.7/32"),
        (" 10.1.2.3/8 ", "10.0.0.0/8"),
        ("2001:db8::1", "2001:db8::1/128"),
    ],
)
def test_a_network_is_an_address_or_a_range(text: str, network: str) -> None:
    assert TypeAdapter(Network).validate_python(text) == network


@pytest.mark.parametrize("text", ["proxy", "*", "10.0.0.0/33", "0.0.0.0/0", "::/0", ""])
def test_a_network_of_everybody_or_of_nobody_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        TypeAdapter(Network).validate_python(text)
