"""The URL of a database, which may hold its password: what is one, and what of it may be shown."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, SecretStr

_POSTGRES = ("postgresql", "postgres")
_SQLITE = "sqlite"


def database_url(value: SecretStr) -> SecretStr:
    """One of PostgreSQL or of an SQLite file. ValueError says what is wrong, without any of the
    value."""
    text = value.get_secret_value().strip()
    try:
        parts = urlsplit(text)
        port = parts.port
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise ValueError(
            "not a URL: host, port or query make no sense; in a password write / as %2F, @ as %40, "
            "# as %23, ? as %3F"
        ) from None
    if parts.scheme == _SQLITE:
        if parts.netloc or parts.path in ("", "/") or parts.query:
            raise ValueError(
                "should name a file: sqlite:///gateway.db or sqlite:////var/gateway.db"
            )
        return SecretStr(text)
    if parts.scheme not in _POSTGRES or port == 0:
        raise ValueError("should begin with postgresql://HOST/NAME or sqlite:///FILE")
    if not parts.hostname and "host" not in query:
        raise ValueError("should name a host: postgresql://USER:PASSWORD@HOST:5432/NAME")
    name = parts.path.removeprefix("/")
    if not name or "/" in name or "@" in name:
        raise ValueError(
            "after the host comes the name of a database: postgresql://HOST/NAME; in a password "
            "write / as %2F, @ as %40"
        )
    if parts.fragment:
        raise ValueError("has a #; in a password write it as %23")
    return SecretStr(text)


def is_sqlite(value: SecretStr) -> bool:
    """A file of SQLite, not a PostgreSQL."""
    return urlsplit(value.get_secret_value()).scheme == _SQLITE


def file_of(value: SecretStr) -> str:
    """The file of an SQLite URL."""
    return value.get_secret_value().removeprefix(f"{_SQLITE}:///")


def shown(value: SecretStr) -> str:
    """Its scheme, host, port and name, or its file: what logs and `gateway check` may tell."""
    parts = urlsplit(value.get_secret_value())
    if parts.scheme == _SQLITE:
        return f"sqlite://{parts.path}"
    named = parse_qs(parts.query).get("host", [""])[0]
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or named
    return f"postgresql://{host}:{parts.port or 5432}{parts.path}"


DatabaseUrl = Annotated[SecretStr, AfterValidator(database_url)]
