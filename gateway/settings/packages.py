"""Packages that only some settings take: said when they are missing, with what to install."""

from __future__ import annotations

import importlib.util

from gateway.domain.document import ConfigError, Problem
from gateway.settings.database_url import is_sqlite
from gateway.settings.identity import Identity
from gateway.settings.state import State
from gateway.settings.tree import Records, Settings


def check_records(settings: Settings) -> Records:
    """Where decision records are kept. ConfigError where that takes a package that is missing."""
    if settings.records.redis_url is not None:
        take_package(settings, ("records", "redis_url"), "redis", "redis")
    return settings.records


def check_state(settings: Settings) -> State:
    """Where keys, ledger, audit log and counters are kept. ConfigError where that takes a package
    that is missing."""
    url = settings.state.database_url
    if url is not None and not is_sqlite(url):
        take_package(settings, ("state", "database_url"), "asyncpg", "postgres")
    if settings.state.redis_url is not None:
        take_package(settings, ("state", "redis_url"), "redis", "redis")
    return settings.state


def check_identity(settings: Settings) -> Identity:
    """Who is let in. ConfigError where that takes a package that is missing."""
    if settings.identity.jwt is not None:
        take_package(settings, ("identity", "jwt"), "jwt", "jwt")
    return settings.identity


def take_package(settings: Settings, name: tuple[str, str], package: str, extra: str) -> None:
    """ConfigError at the setting's place where `package`, of our extra `extra`, is missing."""
    if importlib.util.find_spec(package) is None:
        place = settings.origin(*name)
        message = f"{'.'.join(name)} is set, but the package {package} is not installed"
        fix = f"`make install` in a checkout, else `pip install 'vllm-gateway[{extra}]'`"
        raise ConfigError([Problem(place.file, place.line, message, fix)])
