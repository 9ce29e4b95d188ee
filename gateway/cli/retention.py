"""`gateway data`: what is kept of calls and changes, exported or deleted."""

from __future__ import annotations

import csv
import getpass
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.keeping import Word, with_database
from gateway.cli.options import path_options
from gateway.cli.usage import time_option

KINDS = ("usage", "audit", "records")


def _age(value: str) -> Any:
    from gateway.domain.usage_report import age  # for the sake of `gateway --help`

    return age(value)


def _kinds(value: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(word.strip() for word in value.split(",")))
    if unknown := [word for word in found if word not in KINDS]:
        raise ValueError(f"unknown {unknown[0][:40]!r}; there are {', '.join(KINDS)}")
    return found


def actor() -> str:
    """Who types this, for the audit log."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user may have no name
        return "cli"


@click.group("data")
def stored() -> None:
    """Export or delete what is kept."""


@stored.command()
@click.option(
    "--older-than", "older", type=Word("AGE", _age), required=True, help="Such as 90d, 12h, 8w."
)
@click.option("--what", type=Word("WORDS", _kinds), default=",".join(KINDS), show_default=True)
@click.option("--dry-run", is_flag=True, help="Only say how many rows there are.")
@path_options
def purge(older: Any, what: tuple[str, ...], dry_run: bool, **paths: Path | None) -> None:
    """Delete what is old, for good.

    The audit log can be verified afterwards, and tells of the purge. Decision records are deleted
    in the Redis of records.redis_url; elsewhere they live in memory alone.
    """
    now = time.time()
    before = now - older.total_seconds()

    async def work(database: Any, settings: Any) -> Any:
        from gateway.adapters import purging

        task = purging.Purge(database, settings, before, now, actor())
        return {kind: await task.of(kind, dry_run=dry_run) for kind in what}

    for kind, count in with_database(paths, work).items():
        verb = "would be deleted" if dry_run else "deleted"
        click.echo(f"{kind}: {'none' if count is None else count} {verb}")


@stored.command("export")
@time_option("--since", "A day (2026-11-01), a time, or an age (30d).", "1970-01-01")
@time_option("--until", "The same; not included.")
@click.option("--team", help="Of this team alone.")
@click.option("--format", "shape", type=click.Choice(("jsonl", "csv")), default="jsonl")
@path_options
def export(
    since: float, until: float | None, team: str | None, shape: str, **paths: Path | None
) -> None:
    """Print every call of the usage ledger, one a line."""
    from gateway.domain.usage_report import Question

    question = Question((), since, until, {"team": team} if team is not None else {})

    async def work(database: Any, _: Any) -> None:
        from gateway.adapters import usage_report

        show = _line if shape == "jsonl" else _cells
        first = True
        async for row in usage_report.entries(database, question):
            show(row, first)
            first = False

    with_database(paths, work)


def _line(row: dict[str, Any], _: bool) -> None:
    click.echo(json.dumps(row))


def _cells(row: dict[str, Any], first: bool) -> None:
    from gateway.domain.usage_report import cell

    writer = csv.writer(sys.stdout, lineterminator="\n")
    if first:
        writer.writerow(row)
    writer.writerow([cell(value) for value in row.values()])
