"""What commands need of the database: opened as `gateway serve` would open it, and closed."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import load_settings, show, with_state

if TYPE_CHECKING:
    from gateway.adapters.database import Database
    from gateway.settings import Settings

REFUSED = 2
UNAVAILABLE = 3

Work = Callable[["Database", "Settings"], Awaitable[Any]]


def with_database(paths: Mapping[str, Path | None], work: Work) -> Any:
    """What `work` gives. Where the settings are wrong (2) or the database does not answer (3) it
    says so and ends the command."""
    import asyncio  # here, not above: most commands of the command line need none

    # Here, not above, for the sake of `gateway --help`.
    from gateway.domain.document import ConfigError
    from gateway.domain.errors import DatabaseUnavailable

    try:
        settings = with_state(load_settings(paths, {}))
        _check(settings)
    except ConfigError as error:
        show(error.problems, "nothing was done")
        sys.exit(REFUSED)
    try:
        return asyncio.run(_run(settings, work))
    except DatabaseUnavailable as error:
        click.echo(
            f"gateway: the database does not answer ({error.detail}); see state.database_url"
        )
        sys.exit(UNAVAILABLE)


def _check(settings: Settings) -> None:
    """A report of an empty database that we have just made would be a lie."""
    from gateway.domain.document import ConfigError, Problem
    from gateway.settings import packages

    state = packages.check_state(settings)
    if state.file is not None and not state.file.exists():
        place = settings.origin("state", "folder")
        message = f"there is no database {state.file}"
        fix = "run this where `gateway serve` runs, or set state.folder or state.database_url"
        raise ConfigError([Problem(place.file, place.line, message, fix)])


async def _run(settings: Settings, work: Work) -> Any:
    from gateway.adapters.database import Database

    assert settings.state.url is not None  # `with_state` has seen to that
    database = await Database.open(settings.state.url)
    try:
        return await work(database, settings)
    finally:
        await database.aclose()


class Word(click.ParamType[Any]):
    """A text that `read` understands; its ValueError says what to write instead."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, or click's own error."""
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
