"""Images, sound, video and files in messages: sent along, or fetched from hosts allowed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest

# Of these a replica makes an address, in the object that OpenAI has for it or as a plain text.
_FETCHED = frozenset(
    {"image_url", "audio_url", "video_url", "file_url", "input_image", "input_video", "url"}
    | {"image", "video", "audio"}
)
# These hold the thing itself.
_CARRIED = frozenset({"input_audio", "file", "data", "file_data"})
# Tensors that a replica would unpack, and the names of others' images in its cache.
_INTERNAL = frozenset({"image_embeds", "audio_embeds", "video_embeds", "prompt_embeds", "uuid"})
_PLAIN = frozenset({"type", "text", "refusal", "thinking", "reasoning", "detail", "format"})
_MEDIA = _FETCHED | _CARRIED | _INTERNAL
_MOST_NESTED = 4
# Nothing in it that two readers of URLs could understand in two ways.
_URL = re.compile(
    r"https?://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?"
    r"(?:[/?][A-Za-z0-9._~:/?#\[\]!$&'()*+,;=%@|-]*)?",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9+.-]{0,30}:/|file:)", re.IGNORECASE)
# Addresses that stand for IPv4 ones in IPv6: the last 32 bits say for which.
_TRANSLATED = (ip_network("64:ff9b::/96"), ip_network("::/96"))


def check_parts(place: str, parts: Any, bounds: Bounds) -> list[str]:
    """The hosts that a replica would ask for the media of one message's `parts`. InvalidRequest
    where it must not be asked to, with the place: `messages[0].content`."""
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list):
        raise _wrong(place, "must be a string or a list of parts")
    hosts: list[str] = []
    for number, part in enumerate(parts):
        here = f"{place}[{number}]"
        if isinstance(part, str):
            continue
        if not isinstance(part, dict):
            raise _wrong(here, "must be an object with a 'type'")
        for where, name, value in _values(here, part):
            hosts += _host_of(where, name, value, bounds)
    return hosts


def media_in(parts: Any) -> int:
    """How many of a message's parts are no text."""
    rows = parts if isinstance(parts, list) else [parts]
    return sum(isinstance(part, dict) and not _MEDIA.isdisjoint(part) for part in rows)


def _values(place: str, part: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Each text of a part that is not plain text, with its place and its own name."""
    waiting: list[tuple[str, str, Any, int]] = [
        (f"{place}.{name}", name, value, 1) for name, value in part.items() if name not in _PLAIN
    ]
    while waiting:
        where, name, value, depth = waiting.pop()
        rows: list[tuple[str, Any]] = []
        if isinstance(value, dict):
            rows = list(value.items())
        elif isinstance(value, list):
            rows = [(name, one) for one in value]
        elif value is not None:
            yield where, name, value
        if rows and depth == _MOST_NESTED:
            raise _wrong(where, "nests too deep for a part of a message")
        if name in _INTERNAL and value is not None:
            yield where, name, value
        waiting += [(f"{where}.{key}", key, inner, depth + 1) for key, inner in rows]


def _host_of(place: str, name: str, value: Any, bounds: Bounds) -> list[str]:
    if name in _INTERNAL and name not in bounds.allow:
        raise InvalidRequest(
            f"{place!r} is not taken: it reaches into the engine. Leave it out; the operator can "
            f"allow it by limits.allow: [{name}].",
            param=place,
            code="unsupported_parameter",
        )
    if not isinstance(value, str):
        if name in _FETCHED:
            raise _wrong(place, "must be a URL: data:, or of a host that is allowed")
        return []
    if value[:5].lower() == "data:" or name in _CARRIED:
        if name in _CARRIED and "://" in value[:64]:
            return [_checked(place, value, bounds)]
        if len(value) * 3 // 4 > bounds.media_bytes:
            raise InvalidRequest(
                f"{place!r} is {len(value) * 3 // 4} bytes; at most {bounds.media_bytes} are taken "
                "(the operator sets limits.media_bytes).",
                param=place,
                code="string_above_max_length",
            )
        return []
    if name in _FETCHED or _ADDRESS.match(value):
        return [_checked(place, value, bounds)]
    return []


def _checked(place: str, url: str, bounds: Bounds) -> str:
    """The host of a URL that may be fetched."""
    found = _URL.fullmatch(url)
    host = found["host"].lower().rstrip(".") if found else ""
    if not host or not allowed(host, bounds.media_hosts):
        raise refused(place, host)
    return host


def refused(place: str, host: str) -> InvalidRequest:
    """What a client is told of a URL that no replica gets."""
    what = f"the host {host!r} is not one of" if host else "only http and https are, from"
    return InvalidRequest(
        f"{place!r} must be a data: URL. Others are not fetched: {what} the hosts that the "
        "operator allows by limits.media_hosts.",
        param=place,
        code="media_not_allowed",
    )


def allowed(host: str, hosts: Collection[str]) -> bool:
    """Whether `host` is one of these; `*.example.com` stands for all names below that one."""
    if host in hosts:
        return True
    return any(one.startswith("*.") and host.endswith(one[1:]) for one in hosts)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet at large: not to this machine, its network,
    its cloud's metadata, or to one of these in the clothes of IPv6."""
    try:
        one = ip_address(address.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(one, IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo[1] if one.teredo else None)
        if inner is None and any(one in network for network in _TRANSLATED):
            inner = ip_address(int(one) & 0xFFFFFFFF)  # type: ignore[assignment]
        if inner is not None:
            return is_public(str(inner))
    return one.is_global and not one.is_multicast


def _wrong(place: str, says: str) -> InvalidRequest:
    return InvalidRequest(f"{place!r} {says}.", param=place, code="invalid_type")
