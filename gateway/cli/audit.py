"""`gateway audit`: the log of who changed what; verified, listed, exported."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.keeping import Word, with_database
from gateway.cli.options import path_options
from gateway.cli.usage import time_option

BROKEN = 1


def _head(value: str) -> Any:
    from gateway.domain.audit import Head  # for the sake of `gateway --help`

    return Head.read(value)


@click.group()
def audit() -> None:
    """Look at the audit log."""


@audit.command()
@click.option(
    "--head", type=Word("NUMBER:HASH", _head), help="A head that was printed here before, and kept."
)
@path_options
def verify(head: Any, **paths: Path | None) -> None:
    """Check that no row was changed, taken out or put in.

    Prints the head of the log. Keep that elsewhere and give it with --head next time: whoever cuts
    off the end of the log, or writes all of it anew, is then noticed. Exits with 1 when the log is
    broken, and says which row is the first that is.
    """

    async def work(database: Any, _: Any) -> Any:
        from gateway.adapters import audit_chain

        return await audit_chain.verify(database, head)

    found = with_database(paths, work)
    if found.broken:
        click.echo(f"broken: {found.broken}", err=True)
        sys.exit(BROKEN)
    click.echo(f"ok: {found.rows} rows")
    if found.head is not None:
        click.echo(f"head: {found.head}")


@audit.command("list")
@time_option("--since", "A day (2026-11-01), a time, or an age (7d); 7d by default.", "7d")
@time_option("--until", "The same; not included.")
@click.option("--action", help="Of this kind alone, such as key.revoke.")
@path_options
def list_(since: float, until: float | None, action: str | None, **paths: Path | None) -> None:
    """Show the rows, the oldest first."""
    for row in _rows(paths, since, until):
        event = row.event
        if action is None or event.action == action:
            when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds")
            what = f"{event.action}  {event.target}"
            click.echo(f"{row.seq}  {when}  {event.actor}  {what}  {event.facts}")


@audit.command()
@time_option("--since", "A day (2026-11-01), a time, or an age (30d).", "1970-01-01")
@time_option("--until", "The same; not included.")
@path_options
def export(since: float, until: float | None, **paths: Path | None) -> None:
    """Print the rows as JSON, one a line, with their hashes."""
    for row in _rows(paths, since, until):
        event = row.event
        facts = {"actor": event.actor, "action": event.action, "target": event.target}
        line = {"seq": row.seq, "uid": event.uid, "at": event.at, **facts}
        click.echo(
            json.dumps(
                {**line, "facts": json.loads(event.facts), "prev": row.prev, "hash": row.hash}
            )
        )


def _rows(paths: Any, since: float, until: float | None) -> Any:
    async def work(database: Any, _: Any) -> Any:
        from gateway.adapters import audit_chain

        return [row async for row in audit_chain.rows(database, since=since, until=until)]

    return with_database(paths, work)
