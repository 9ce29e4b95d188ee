"""`gateway prompts watch`: each save is linted, tested and shown, a moment after it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.prompt_options import folder_of, folder_option, refusing
from gateway.cli.prompt_views import show_preview

if TYPE_CHECKING:
    from gateway.adapters.prompts import Family

_PAUSE_S = 0.1


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@click.option("--render", is_flag=True, help="Show the messages of each one's first test as well.")
def watch(names: tuple[str, ...], folder: Path | None, render: bool) -> None:
    """Lint and test again whenever a file is saved, until Ctrl-C.

    Quicker than the commands one by one: Python is started once.
    """
    with refusing("mend them and watch again"):
        root = folder_of(folder)
    with suppress(KeyboardInterrupt):
        for _ in _saves(root):
            _tell(root, names, render)


def _saves(root: Path) -> Iterator[None]:
    """At once, and after each change below `root`, when nothing moves any more: a save is often
    two writes."""
    from gateway.adapters.prompt_labels import FILE
    from gateway.adapters.watch import look

    places = {root: "*.j2", root / FILE: ""}
    told = before = look(places)
    yield
    while True:
        time.sleep(_PAUSE_S)
        sight = look(places)
        if sight == before and sight != told:
            told = sight
            yield
        before = sight


def _tell(root: Path, names: Sequence[str], render: bool) -> None:
    from gateway.adapters.prompt_lint import examined
    from gateway.domain.document import ConfigError
    from gateway.domain.errors import UnknownPrompt

    try:
        found = examined(root, names)
    except (ConfigError, UnknownPrompt) as error:
        # Not there, or not yet, or gone for the moment that an editor or git takes.
        click.secho(f"gateway: {error}", fg="red")
        return
    for problem in found.problems:
        click.echo(str(problem))
    if render:
        for family in found.families.values():
            _show(family)
    at = time.strftime("%H:%M:%S")
    click.secho(f"{at} {found}", fg="red" if found.errors else "green")


def _show(family: Family) -> None:
    from gateway.adapters.prompt_preview import estimate, made
    from gateway.domain.errors import GatewayError

    loaded = family.working.default
    if loaded.front.tests:
        with suppress(GatewayError):  # what does not render is among the problems
            show_preview(made(loaded, loaded.front.tests[0].inputs, estimate), "about ")
