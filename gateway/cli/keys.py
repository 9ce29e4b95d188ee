"""`gateway keys`: makes keys. Nothing is stored: the operator pastes the hash into teams.yaml."""

from __future__ import annotations

import secrets
import sys

import click

from gateway.cli.options import show

PREFIX = "sk-gw-"


@click.group()
def keys() -> None:
    """Make keys for teams."""


@keys.command()
@click.option("--team", required=True, metavar="NAME", help="The team that the key is for.")
@click.option("--id", "key_id", metavar="ID", help="The key's name in logs; made up by default.")
def create(team: str, key_id: str | None) -> None:
    """Make a key, show it once, and print the lines for teams.yaml."""
    # Here, not above, for the sake of `gateway --help`.
    from pydantic import ValidationError

    from gateway.domain.document import Problem
    from gateway.settings import KeyHash, Team, hash_key

    key = PREFIX + secrets.token_urlsafe(32)
    digest = hash_key(key)
    name = key_id or f"{team}-{digest[:6]}"
    try:
        Team(name=team, keys=(KeyHash(id=name, sha256=digest),))
    except ValidationError:
        fix = "letters, digits, '.', '_' and '-', at most 63, a letter or digit first"
        show([Problem("--team and --id", 0, "cannot be used as names", fix)], "no key was made")
        sys.exit(2)
    click.echo(f"The key, shown this once; give it to {team}:\n\n    {key}\n")
    click.echo("Paste this into config/teams.yaml (a team that is there gets one more line):\n")
    click.echo(f'teams:\n  {team}:\n    keys:\n      - {{id: {name}, sha256: "{digest}"}}')
