"""`gateway check`: reads all of the configuration and says what is wrong. Starts nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.options import load_settings, path_options, show

BROKEN = 1


@click.command()
@path_options
def check(**paths: Path | None) -> None:
    """Check settings, models, prompts and policies.

    Exits with 1 and says what to mend when something is wrong. Needs no replica and no network.
    """
    # Here, not above, for the sake of `gateway --help`.
    from gateway import plan
    from gateway.domain.document import ConfigError

    try:
        settings = load_settings(paths, {})
        report = plan.check(settings)
    except ConfigError as error:
        show(error.problems, "mend them and check again")
        sys.exit(BROKEN)
    for line in report.lines:
        click.echo(line)
    if report.problems:
        show(report.problems, "mend them and check again")
        sys.exit(BROKEN)
    click.echo("gateway: the configuration is fine")
