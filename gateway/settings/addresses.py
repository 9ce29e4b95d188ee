"""Addresses that settings may hold: URLs with a host, and which hosts only this machine reaches."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def http_url(value: str) -> str:
    """An http(s) URL with a host and no user, query or fragment, its last slash cut off.
    ValueError says what is wrong, without the value (it may hold a password)."""
    try:
        parts = urlsplit(value.strip())
        port = parts.port
    except ValueError:
        raise ValueError("not a URL: the host or the port makes no sense") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("not a URL that starts with http:// or https:// and a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("a URL here has no user, password, query or fragment")
    return value.strip().rstrip("/")


def _upstream_url(value: str) -> str:
    url = http_url(value)
    if not urlsplit(url).path:
        raise ValueError(f"has no path; vLLM's API is under /v1: {url}/v1")
    return url


Url = Annotated[str, AfterValidator(http_url)]
UpstreamUrl = Annotated[str, AfterValidator(_upstream_url)]


def _network(value: str) -> str:
    try:
        network = ip_network(value.strip(), strict=False)
    except ValueError:
        raise ValueError("not an address or network, as 10.0.0.7 or 10.0.0.0/8") from None
    if network.prefixlen == 0:
        raise ValueError("is every address: anybody could then say who they are")
    return str(network)


Network = Annotated[str, AfterValidator(_network)]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`. A name other than localhost counts as open."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
