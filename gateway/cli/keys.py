"""`gateway keys`: makes, lists, rotates and revokes keys in the database that the server uses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.cli.key_views import as_json, as_lines, as_table, as_text
from gateway.cli.options import path_options, show

if TYPE_CHECKING:
    from gateway.adapters.key_store import KeyStore

Command = Callable[..., None]

_JSON = click.option("--json", "as_json_", is_flag=True, help="JSON instead of text.")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke keys."""


def _scope_options(command: Command) -> Command:
    for name, metavar, text in (
        ("expires", "DATE", "Last day, or a time with its zone: 2027-01-31."),
        ("not-before", "DATE", "First day, or a time with its zone."),
    ):
        command = click.option(f"--{name}", metavar=metavar, help=text)(command)
    for name, text in (
        ("model", "A model or glob that it is good for; may be given again. All by default."),
        ("route", "A path or glob that it is good for; may be given again."),
        ("role", "user, author or operator; may be given again."),
    ):
        command = click.option(
            f"--{name}", f"{name}s", multiple=True, metavar=name.upper(), help=text
        )(command)
    return command


@keys.command()
@click.option("--team", required=True, metavar="NAME", help="The team that the key is for.")
@click.option("--id", "key_id", metavar="ID", help="The key's name in logs; made up by default.")
@click.option("--note", default="", metavar="TEXT", help="What it is for; shown in lists.")
@click.option("--print", "print_", is_flag=True, help="Store nothing: print lines for teams.yaml.")
@_scope_options
@_JSON
@path_options
def create(
    team: str, key_id: str | None, note: str, print_: bool, as_json_: bool, **given: Any
) -> None:
    """Make a key and show it once.

    It is stored in the server's database; where there is none, the lines for teams.yaml are
    printed.
    """
    from gateway.adapters.key_store import new_key
    from gateway.cli.key_database import database_of, run, scope_of, settings_of

    scope = scope_of(given)
    url = None if print_ else database_of(settings_of(given))
    if url is None:
        key = new_key()
        text = as_lines(key, team, key_id, scope)
        if text is None:
            _refuse("letters, digits, '.', '_' and '-', at most 63, a letter or digit first")
        click.echo(text)
        return
    made = run(
        given, lambda store, actor: store.create(actor, team, scope, key_id=key_id or "", note=note)
    )
    click.echo(as_json(made[1], made[0]) if as_json_ else as_text(*made))


@keys.command("list")
@_JSON
@path_options
def list_(as_json_: bool, **given: Any) -> None:
    """List every key of the database and of the configuration; never a key itself."""
    from gateway.cli.key_database import rows_of, run

    async def every(store: KeyStore, actor: str) -> Any:
        return await store.every()

    rows = rows_of(given, run(given, every))
    click.echo(as_json(rows) if as_json_ else as_table(rows))


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", default="24h", metavar="TIME", help="How long the old one works on; 24h, 30m, 7d."
)
@_JSON
@path_options
def rotate(key_id: str, overlap: str, as_json_: bool, **given: Any) -> None:
    """Make a key in the place of another, which still works for a while."""
    from gateway.cli.key_database import run, seconds_of

    seconds = seconds_of(overlap)
    if seconds is None:
        _refuse("--overlap is a number and s, m, h or d, up to 366d: 30m, 24h, 7d, 0s")
    made = run(given, lambda store, actor: store.rotate(actor, key_id, seconds))
    click.echo(as_json(made[1], made[0]) if as_json_ else as_text(*made))


@keys.command()
@click.argument("key_id", metavar="ID")
@_JSON
@path_options
def revoke(key_id: str, as_json_: bool, **given: Any) -> None:
    """Revoke a key: within a second it opens nothing any more, in every process."""
    from gateway.cli.key_database import run

    row = run(given, lambda store, actor: store.revoke(actor, key_id))
    click.echo(as_json(row) if as_json_ else f"{row.id} of team {row.team} is revoked")


def _refuse(fix: str) -> NoReturn:
    from gateway.domain.document import Problem

    show([Problem("gateway keys", 0, "cannot be used", fix)], "no key was made")
    sys.exit(2)

