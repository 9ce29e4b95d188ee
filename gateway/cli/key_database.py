"""What `gateway keys` does in the database that the server has, found from the same settings."""

from __future__ import annotations

import getpass
import re
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
from pydantic import ValidationError

from gateway.adapters.database import Database
from gateway.adapters.key_rows import fixed_row, stored_row
from gateway.adapters.key_store import KeyStore
from gateway.adapters.stored_keys import Snapshot
from gateway.cli.keeping import REFUSED, with_database
from gateway.cli.options import load_settings, show, with_state
from gateway.domain.document import ConfigError, Problem
from gateway.domain.errors import DatabaseUnavailable, GatewayError
from gateway.settings import Settings
from gateway.settings.explanation import reason
from gateway.settings.teams import Lifetime

Paths = Mapping[str, Path | None]
Work = Callable[[KeyStore, str], Coroutine[Any, Any, Any]]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST = 366 * _UNITS["d"]


def has_database(paths: Paths) -> bool:
    """Whether a server with these settings has, or has had, a database here. Ends the command
    where they are broken."""
    try:
        state = with_state(load_settings(paths, {})).state
    except ConfigError as error:
        show(error.problems, "no key was made")
        sys.exit(REFUSED)
    return state.file is None or state.file.exists()


def run(paths: Paths, work: Work) -> Any:
    """What `work` gives, done by whoever runs the command and entered in the audit log. Ends the
    command, and says why, where it cannot be done."""
    actor = f"cli:{_user()}"

    async def done(database: Database, settings: Settings) -> Any:
        return await work(KeyStore(database, settings.teams, time.time), actor)

    try:
        return with_database(paths, done)
    except DatabaseUnavailable:
        raise
    except GatewayError as error:
        click.echo(f"gateway: {error.public}", err=True)
        sys.exit(REFUSED)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "unknown"


def rows_of(paths: Paths, stored: Snapshot) -> list[dict[str, Any]]:
    """Every key as it may be shown: those of the configuration, then those of the database."""
    settings = load_settings(paths, {})
    rows = [fixed_row(team, key) for team in settings.teams for key in team.keys]
    return rows + [stored_row(key) for key in stored.keys]


def scope_of(given: Mapping[str, Any]) -> Lifetime:
    """What a key is to be good for. Ends the command where that makes no sense."""
    words = {"models": given["models"], "routes": given["routes"]}
    words |= {"roles": given["roles"] or None}
    words |= {"expires": given["expires"], "not_before": given["not_before"]}
    try:
        return Lifetime.model_validate(words)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = f"--{first['loc'][0]}".rstrip("s").replace("_", "-") if first["loc"] else "dates"
        refuse(option.replace("--expire", "--expires"), reason(first))


def seconds_of(text: str) -> float:
    """A time such as 30m, 24h, 7d in seconds. ValueError says how to write it."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    seconds = int(found[1]) * _UNITS[found[2]] if found else -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError("is a number and s, m, h or d, at most 366d: 30m, 24h, 7d, 0s")
    return seconds


def refuse(option: str, message: str) -> NoReturn:
    """End the command."""
    show([Problem(option, 0, message, "see `gateway keys create --help`")], "no key was made")
    sys.exit(REFUSED)
