"""`gateway prompts`: what prompt authors do, from a new file to one that is in production."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.prompt_labels import promote, rollback
from gateway.cli.prompt_options import (
    BROKEN,
    folder_option,
    format_option,
    print_json,
    refusing,
    settings_of,
    stop,
)
from gateway.cli.prompt_views import diff, render, try_

if TYPE_CHECKING:
    from gateway.adapters.prompt_scaffold import Kind
    from gateway.domain.document import Problem


@click.group()
def prompts() -> None:
    """Write, check, compare and promote prompts."""


@prompts.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@format_option
@click.option("--strict", is_flag=True, help="Warnings (W…) fail as well.")
def lint(names: tuple[str, ...], folder: Path | None, form: str, strict: bool) -> None:
    """Find mistakes, with place and fix.

    Exits with 1 when there is an error.
    """
    from gateway.adapters import prompt_lint

    with refusing("mend them and lint again"):
        root = settings_of(folder).paths.prompts_dir
        found = prompt_lint.lint(root, names)
    warnings = [problem for problem in found if prompt_lint.is_warning(problem)]
    errors = len(found) - len(warnings)
    if form == "json":
        print_json([_row(problem) for problem in found])
    else:
        for problem in found:
            click.echo(str(problem))
        click.echo(f"{errors} errors, {len(warnings)} warnings" if found else "no problems")
    sys.exit(BROKEN if errors or (strict and warnings) else 0)


def _row(problem: Problem) -> dict[str, Any]:
    code = getattr(problem, "code", "")
    return {
        "file": problem.file,
        "line": problem.line,
        "column": getattr(problem, "column", 0),
        "code": code,
        "severity": "warning" if code.startswith("W") else "error",
        "message": problem.message,
        "fix": problem.fix,
    }


@prompts.command()
@folder_option
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where something would.")
def fmt(folder: Path | None, check: bool) -> None:
    """Lay files out: keys in order, spaces inside braces, LF.

    What a file means never changes.
    """
    from gateway.adapters.prompt_format import format_folder

    with refusing("mend them"):
        root = settings_of(folder).paths.prompts_dir
        changed = format_folder(root, write=not check)
    for file in changed:
        click.echo(f"{'would change' if check else 'changed'} {file}")
    sys.exit(BROKEN if check and changed else 0)


@prompts.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
@format_option
def test(names: tuple[str, ...], folder: Path | None, form: str) -> None:
    """Run the tests inside prompt files; no model is asked."""
    from gateway.adapters.prompt_trials import verdicts
    from gateway.adapters.prompts import load

    with refusing("mend them and test again"):
        files = load(settings_of(folder).paths.prompts_dir)
        chosen = names or files.names()
        found = [one for name in chosen for one in verdicts(files.family(name).working)]
    rows = [
        {
            "prompt": one.prompt,
            "locale": one.locale,
            "variant": one.variant,
            "test": one.name,
            "ok": not one.faults,
            "faults": list(one.faults),
        }
        for one in found
    ]
    if form == "json":
        print_json(rows)
    else:
        _show_tests(rows)
    sys.exit(BROKEN if any(one.faults for one in found) else 0)


def _show_tests(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        name = row["prompt"] + (f".{row['locale']}" if row["locale"] else "")
        name += f" ~{row['variant']}" if row["variant"] else ""
        click.echo(f"{'ok  ' if row['ok'] else 'FAIL'} {name}: {row['test']}")
        for fault in row["faults"]:
            click.echo(f"       {fault}")
    failed = sum(not row["ok"] for row in rows)
    click.echo(f"{len(rows) - failed} passed, {failed} failed")


@prompts.command()
@click.argument("name", metavar="AREA/NAME")
@folder_option
@click.option(
    "--kind",
    type=click.Choice(["text", "rewrite", "review", "file"]),
    default="text",
    help="Its answer.",
)
def new(name: str, folder: Path | None, kind: Kind) -> None:
    """Write a first file that lints, and whose test holds."""
    import re

    from gateway.adapters.prompt_files import SUFFIX
    from gateway.adapters.prompt_front import NAME_PATTERN
    from gateway.adapters.prompt_scaffold import scaffold

    if not re.fullmatch(NAME_PATTERN, name):
        stop(f"{name!r} is no name for a prompt", "write it like code/summarise: a-z, 0-9, - and _")
    with refusing("mend them"):
        root = folder or settings_of(folder).paths.prompts_dir
    file = root / f"{name}{SUFFIX}"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8", newline="") as opened:
            opened.write(scaffold(name, kind))
    except FileExistsError:
        stop(f"{file} is there already", "take another name, or edit that file")
    click.echo(f"wrote {file}\nnext: gateway prompts render {name}")


@prompts.command()
@folder_option
def where(folder: Path | None) -> None:
    """Say which folder of prompts is used here."""
    with refusing("mend them"):
        click.echo(settings_of(folder).paths.prompts_dir)


for _command in (render, diff, try_, promote, rollback):
    prompts.add_command(_command)
