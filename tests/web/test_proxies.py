"""The client's address behind proxies: no more is believed than a trusted one has heard."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.web.proxies import Proxies, client_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
NEAR = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        (NEAR, "192.0.2.9", "192.0.2.9"),
        (NEAR, "198.51.100.1, 192.0.2.9", "192.0.2.9"),
        (NEAR, "198.51.100.1,192.0.2.9, 10.2.2.2", "192.0.2.9"),
        ("fd00::1", "[2001:db8::1]:443", "2001:db8::1"),
        ("::ffff:10.0.0.1", "192.0.2.9:5000", "192.0.2.9"),
        (NEAR, "::ffff:192.0.2.9", "192.0.2.9"),
        (NEAR, "10.0.0.5, 10.0.0.6", "10.0.0.5"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),
        (NEAR, "192.0.2.9, rubbish", NEAR),
        (NEAR, "", NEAR),
        ("socket", "192.0.2.9", "socket"),
    ],
)
def test_a_client_is_whom_the_last_trusted_proxy_heard(peer: str, said: str, client: str) -> None:
    assert client_of(peer, said.split(","), TRUSTED) == client


async def client_seen(trusted: tuple[str, ...], *said: bytes) -> object:
    """Whom an application takes for the client of a request from 10.0.0.1."""
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None: ...

    headers = [(b"x-forwarded-for", value) for value in said]
    scope = {"type": "http", "headers": headers, "client": (NEAR, 5)}
    await Proxies(app, trusted)(scope, receive, send)
    return seen[0]


async def test_only_a_trusted_proxy_is_believed() -> None:
    assert await client_seen(("10.0.0.0/8",), b"192.0.2.9") == "192.0.2.9"
    assert await client_seen(("10.0.0.2/32",), b"192.0.2.9") == NEAR
    assert await client_seen((), b"192.0.2.9") == NEAR
    assert await client_seen(("10.0.0.0/8",)) == NEAR


async def test_a_header_that_comes_twice_is_read_to_its_end() -> None:
    assert await client_seen(("10.0.0.0/8",), b"198.51.100.1", b"192.0.2.9") == "192.0.2.9"
