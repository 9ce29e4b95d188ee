"""The URL of a Redis, which may hold its password: what is one, and what of it may be shown."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, SecretStr

_SCHEMES = ("redis", "rediss", "unix")
# What redis-py makes of a query that it does not know would come up only with the first connection.
_QUERY = frozenset(
    {"db", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
)


def redis_url(value: SecretStr) -> SecretStr:
    """One that redis-py accepts. ValueError says what is wrong, without any of the value."""
    try:
        parts = urlsplit(value.get_secret_value().strip())
        port = parts.port
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(
            "not a URL: host, port or query make no sense; in a password write / as %2F, @ as %40, "
            "# as %23, ? as %3F"
        ) from None
    if parts.scheme not in _SCHEMES or port == 0:
        raise ValueError("should begin with redis://HOST, rediss://HOST (TLS) or unix:///SOCKET")
    if parts.scheme == "unix":
        if parts.path in ("", "/"):
            raise ValueError("should name the socket: unix:///run/redis/redis.sock")
    elif not parts.hostname:
        raise ValueError("should name a host: redis://HOST:6379/0")
    elif parts.path.strip("/") and not parts.path.strip("/").isdecimal():
        raise ValueError("after the host comes the number of a database, such as /0")
    if not query.keys() <= _QUERY or parts.fragment:
        raise ValueError(f"of ?name=value it takes only {', '.join(sorted(_QUERY))}")
    if not all(number.isdecimal() for number in query.get("db", ())):
        raise ValueError("db should be the number of a database")
    return SecretStr(value.get_secret_value().strip())


def shown(value: SecretStr) -> str:
    """Its scheme, host and port, or its socket: what logs and `gateway check` may tell."""
    parts = urlsplit(value.get_secret_value())
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or 6379}"


RedisUrl = Annotated[SecretStr, AfterValidator(redis_url)]
