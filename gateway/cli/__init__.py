"""The command line: `gateway serve`, `check`, `top`, `why`, `keys`, `prompts`, `ai`, `usage`, …

Commands import what they need when they run: `gateway --help` should not wait for the rest.
"""

from __future__ import annotations

import click

import gateway
from gateway.cli.ai import ai
from gateway.cli.audit import audit
from gateway.cli.check import check
from gateway.cli.keys import keys
from gateway.cli.policies import policies
from gateway.cli.prompts import prompts
from gateway.cli.retention import stored
from gateway.cli.serve import serve
from gateway.cli.top import top
from gateway.cli.usage import usage
from gateway.cli.why import why


def _show_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        click.echo(f"gateway {gateway.__version__}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """The gateway in front of your own vLLM replicas."""


main.add_command(serve)
main.add_command(check)
main.add_command(top)
main.add_command(why)
main.add_command(keys)
main.add_command(policies)
main.add_command(prompts)
main.add_command(ai)
main.add_command(usage)
main.add_command(audit)
main.add_command(stored)
