"""`gateway keys`: makes, lists, rotates and revokes keys in the database that the server uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keeping import Word
from gateway.cli.options import path_options

if TYPE_CHECKING:
    from gateway.adapters.key_store import KeyStore

Command = Callable[..., None]

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke keys."""


def _scope_options(command: Command) -> Command:
    for name, text in (
        ("expires", "Last day, or a time with its zone: 2027-01-31."),
        ("not-before", "First day, or a time with its zone."),
    ):
        command = click.option(f"--{name}", metavar="DATE", help=text)(command)
    for name, text in (
        ("model", "A model or glob that it is good for; may be given again. All by default."),
        ("route", "A path or glob that it is good for; may be given again."),
        ("role", "user, author or operator; may be given again."),
    ):
        option = click.option(f"--{name}", f"{name}s", multiple=True, metavar="NAME", help=text)
        command = option(command)
    return command


@keys.command()
@click.option("--team", required=True, metavar="NAME", help="The team that the key is for.")
@click.option("--id", "key_id", metavar="ID", help="The key's name in logs; made up by default.")
@click.option("--note", default="", metavar="TEXT", help="What it is for; shown in lists.")
@click.option("--print", "print_", is_flag=True, help="Store nothing: print lines for teams.yaml.")
@_scope_options
@_JSON
@path_options
def create(team: str, key_id: str | None, note: str, print_: bool, **given: Any) -> None:
    """Make a key and show it once.

    It is stored in the server's database; where there is none, the lines for teams.yaml are
    printed.
    """
    # Here, not above, for the sake of `gateway --help`.
    from gateway.adapters.key_store import new_key
    from gateway.cli import key_database, key_views

    scope, paths = key_database.scope_of(given), _paths(given)
    if print_ or not key_database.has_database(paths):
        text = key_views.as_lines(new_key(), team, key_id, scope)
        if text is None:
            said = "names are letters, digits, '.', '_' and '-', at most 63, no sign first"
            key_database.refuse("--team and --id", said)
        click.echo(text)
        return

    def work(store: KeyStore, actor: str) -> Any:
        return store.create(actor, team, scope, key_id=key_id or "", note=note)

    _show_new(key_database.run(paths, work), given)


@keys.command("list")
@_JSON
@path_options
def list_(**given: Any) -> None:
    """List every key of the database and of the configuration; never a key itself."""
    from gateway.cli import key_database, key_views

    def work(store: KeyStore, actor: str) -> Any:
        return store.every()

    stored = key_database.run(_paths(given), work)
    rows = key_database.rows_of(_paths(given), stored)
    click.echo(key_views.as_json(rows) if given["as_json"] else key_views.as_table(rows))


def _overlap(text: str) -> float:
    from gateway.cli.key_database import seconds_of

    return seconds_of(text)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    type=Word("time", _overlap),
    default="24h",
    metavar="TIME",
    help="How long the old one works on: 30m, 24h, 7d, 0s.",
)
@_JSON
@path_options
def rotate(key_id: str, overlap: float, **given: Any) -> None:
    """Make a key in the place of another, which still works for a while."""
    from gateway.cli import key_database

    def work(store: KeyStore, actor: str) -> Any:
        return store.rotate(actor, key_id, overlap)

    _show_new(key_database.run(_paths(given), work), given)


@keys.command()
@click.argument("key_id", metavar="ID")
@_JSON
@path_options
def revoke(key_id: str, **given: Any) -> None:
    """Revoke a key: within a second it opens nothing any more, in every process."""
    from gateway.cli import key_database, key_views

    def work(store: KeyStore, actor: str) -> Any:
        return store.revoke(actor, key_id)

    row = key_database.run(_paths(given), work)
    said = f"{row.id} of team {row.team} is revoked"
    click.echo(key_views.as_json(row) if given["as_json"] else said)


def _paths(given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ("config", "litellm_config", "prompts", "policies")}


def _show_new(made: Any, given: dict[str, Any]) -> None:
    from gateway.cli import key_views

    key, row = made
    click.echo(key_views.as_json(row, key) if given["as_json"] else key_views.as_text(key, row))
