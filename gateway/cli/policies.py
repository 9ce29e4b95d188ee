"""`gateway policies`: the chain of config/policies.yaml, and what a call would meet in it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.cli.options import load_settings, path_options, show, with_state

if TYPE_CHECKING:
    from gateway.domain.document import ConfigError
    from gateway.rehearsal import Explained
    from gateway.settings import Settings

BROKEN = 1
REFUSED = 3


@click.group()
def policies() -> None:
    """The chain of policies: list it, check it, try a call on it."""


@policies.command("list")
@path_options
def list_(**paths: Path | None) -> None:
    """The chain in its order, and the policies that are there to be used."""
    settings = _settings(paths)
    from gateway.adapters.policy_files import available
    from gateway.chain import lines_of, own_tools, read_chain
    from gateway.domain.document import ConfigError
    from gateway.settings.paths import shipped

    try:
        links = read_chain(settings, own_tools())
    except ConfigError as error:
        _stop(error)
    for line in lines_of(links):
        click.echo(line)
    used = {entry.use for entry in settings.policies}
    unused = [
        name
        for name in available(settings.paths.policies_dir, shipped("policies"))
        if name not in used
    ]
    click.echo(f"not in the chain: {', '.join(unused) or 'none'}")


@policies.command("check")
@path_options
def check_(**paths: Path | None) -> None:
    """Check the chain: each policy is built with its settings, and none is asked anything.

    Exits with 1 and says what to mend when something is wrong.
    """
    settings = _settings(paths)
    from gateway import plan
    from gateway.domain.document import ConfigError

    try:
        lines, problems = plan.check_chain(settings)
    except ConfigError as error:
        _stop(error)
    for line in lines:
        click.echo(line)
    if problems:
        show(problems, "mend them and check again")
        sys.exit(BROKEN)


@policies.command("explain")
@click.argument("key")
@click.argument("model")
@click.option("--route", default="/v1/chat/completions", metavar="PATH", help="The client's path.")
@click.option("--team", metavar="NAME", help="Whose call; by default the key's own team.")
@click.option("--body", "file", type=Path, metavar="FILE", help="The request's JSON; - is stdin.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@path_options
def explain(
    key: str,
    model: str,
    route: str,
    team: str | None,
    file: Path | None,
    form: str,
    **paths: Path | None,
) -> None:
    """What a call of KEY (its id, or the key) for MODEL would meet. Asks no replica, and takes
    nothing from any limit.

    Exits with 3 where the call would be refused.
    """
    settings = with_state(_settings(paths))
    import asyncio  # here, not above, for the sake of every other command

    from gateway.domain.document import ConfigError
    from gateway.domain.errors import GatewayError
    from gateway.rehearsal import Question, rehearse

    try:
        body = _body(file)
        found = asyncio.run(rehearse(settings, Question(key, model, route, team, body)))
    except ConfigError as error:
        _stop(error)
    except GatewayError as error:
        click.echo(f"gateway: {error.public}", err=True)
        sys.exit(BROKEN)
    if form == "json":
        click.echo(json.dumps(found.shown(), ensure_ascii=False, indent=2))
    else:
        _show(found)
    sys.exit(REFUSED if found.refused else 0)


def _show(found: Explained) -> None:
    for line in found.lines():
        click.echo(line)


def _body(file: Path | None) -> dict[str, Any]:
    from gateway.domain.body import parse

    if file is None:
        return {}
    raw = sys.stdin.buffer.read() if str(file) == "-" else _read(file)
    return parse(raw)


def _read(file: Path) -> bytes:
    from gateway.domain.document import ConfigError, Problem

    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError([Problem(str(file), 0, f"cannot be read: {error.strerror}")]) from None


def _settings(paths: dict[str, Path | None]) -> Settings:
    from gateway.domain.document import ConfigError

    try:
        return load_settings(paths, {})
    except ConfigError as error:
        _stop(error)


def _stop(error: ConfigError) -> NoReturn:
    show(error.problems, "mend them and try again")
    sys.exit(BROKEN)
