"""`gateway usage`: what was used, by team, key, model, prompt, day, from the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.cli.keeping import Word, with_database
from gateway.cli.options import Command, path_options


def time_option(name: str, text: str, default: str | None = None) -> Callable[[Command], Command]:
    """An option that takes a day, a time or an age, and gives epoch seconds."""

    def read(value: str) -> float:
        from gateway.domain.usage_report import moment  # for the sake of `gateway --help`

        return moment(value, time.time())

    return click.option(name, type=Word("TIME", read), default=default, help=text)


def _groups(value: str) -> Any:
    from gateway.domain.usage_report import groups

    return groups(value)


@click.command()
@click.option(
    "--by",
    type=Word("WORDS", _groups),
    default="team,model",
    show_default=True,
    help="team, key, user, model, served_model, replica, route, prompt, outcome, day.",
)
@time_option("--since", "A day (2026-11-01), a time, or an age (30d); 30d by default.", "30d")
@time_option("--until", "The same; not included. Now by default.")
@click.option("--team", help="Of this team alone.")
@click.option("--key", help="Of this key alone, by its id.")
@click.option("--model", help="Of this model alone.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(("table", "json", "csv")),
    default="table",
    help="As what.",
)
@path_options
def usage(
    by: tuple[str, ...],
    since: float,
    until: float | None,
    team: str | None,
    key: str | None,
    model: str | None,
    shape: str,
    **paths: Path | None,
) -> None:
    """Show what was used.

    For example: gateway usage --by team,day --since 7d --format csv
    """
    from gateway.domain.usage_report import Question

    named = {"team": team, "key": key, "model": model}
    where = {name: value for name, value in named.items() if value is not None}
    question = Question(by, since, until, where)

    async def work(database: Any, _: Any) -> Any:
        from gateway.adapters import usage_report

        return await usage_report.report(database, question)

    click.echo(_text(question, with_database(paths, work), shape))


def _text(question: Any, rows: Any, shape: str) -> str:
    from gateway.domain.usage_report import SUMS, as_csv, as_table

    if shape == "json":
        return json.dumps(rows, indent=2)
    if shape == "csv":
        return as_csv(rows, (*question.by, *SUMS)).rstrip("\r\n")
    return as_table(rows, question.by) if rows else "Nothing was used in that time."
