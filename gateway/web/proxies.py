"""Whose address a request has that came through a proxy: its client's, where we trust the proxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

_MOST_HOPS = 20

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Proxies:
    """Puts the client's address in the place of a trusted proxy's (`scope["client"]`), from
    X-Forwarded-For; nobody else's header is believed. Networks are as server.trusted_proxies."""

    # Not uvicorn's: that takes any word of the header for a host, and changes the scheme too.

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._trusted = tuple(ip_network(network) for network in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._trusted and scope.get("client"):
            hops = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
            scope["client"] = (client_of(scope["client"][0], hops, self._trusted), 0)
        await self._app(scope, receive, send)


def client_of(peer: str, hops: Sequence[str], trusted: Sequence[Network]) -> str:
    """The last address, from the near end, that the one before it vouches for. Each proxy adds
    whom it heard: what is left of the first that is not trusted, anybody may have written."""
    nearest = peer
    for hop in reversed(hops[-_MOST_HOPS:]):
        address = _address(nearest)
        if address is None or not any(address in network for network in trusted):
            break
        heard = _address(hop)
        if heard is None:
            break
        nearest = str(heard)
    return nearest


def _address(text: str) -> Address | None:
    """An address as proxies write it: with a port at times, then IPv6 in brackets."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
