"""The options that all commands of `gateway ai` share, and the status that each ends with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

NOT_CERTAIN = 1
USAGE = 2
GATEWAY = 3
INTERRUPTED = 130

_SHARED = (
    click.option("--url", metavar="URL", help="The gateway; else GATEWAY_URL, else this machine."),
    click.option("--key", metavar="KEY", help="Better kept in GATEWAY_API_KEY: ps shows options."),
    click.option("--model", metavar="MODEL", help="Which model; the prompt's own by default."),
    click.option("--prompt", metavar="NAME", help="Another prompt than the action's own."),
    click.option("--language", metavar="CODE", help="Of the answer: ko."),
    click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Of the answer."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="For the whole answer.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON."),
    click.option("--no-color", is_flag=True, help="Also NO_COLOR; colours need a terminal."),
)
_ABOUT_CODE = (
    click.option(
        "--related",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Another file to look at; may be given again.",
    ),
    click.option(
        "--rules/--no-rules",
        default=True,
        help="Send each AGENTS.md from the top of the checkout down to the file; the default.",
    ),
    click.option("--encoding", default="utf-8", metavar="NAME", help="Of the file on disk; utf-8."),
)
_CHANGING = (
    click.option(
        "--apply", "applies", is_flag=True, help="Change the file instead of showing how."
    ),
    click.option("--repair", is_flag=True, help="Let a useless answer be asked for once more."),
)


def asking_options(command: Command) -> Command:
    """Adds those of every question."""
    return _with(_SHARED, command)


def code_options(command: Command) -> Command:
    """Adds those of every question, and those about files."""
    return _with((*_ABOUT_CODE, *_SHARED), command)


def changing_options(command: Command) -> Command:
    """Adds those of a question whose answer changes a file."""
    return _with((*_CHANGING, *_ABOUT_CODE, *_SHARED), command)


def _with(options: tuple[Callable[[Command], Command], ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def ending() -> Iterator[None]:
    """Says what is wrong in a line, and exits: 1 no certain answer, 2 wrong use, 3 the gateway's
    fault or absence, 130 interrupted."""
    # Here, not above, for the sake of `gateway --help`.
    from gateway.cli.ai_writing import NotWritten
    from gateway.client.errors import AssistError, NothingToApply, StaleFile, UnusableFile

    try:
        yield
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UnusableFile as error:
        stop(str(error), USAGE)
    except (StaleFile, NothingToApply, NotWritten) as error:
        stop(str(error), NOT_CERTAIN)
    except AssistError as error:
        stop(str(error), GATEWAY)
    except BrokenPipeError:
        raise  # click ends quietly: who reads has had enough
    except OSError as error:
        stop(f"{error.filename or 'a file'}: {error.strerror or error}", USAGE)


def stop(message: str, status: int) -> None:
    """Says it and exits."""
    from gateway.cli.ai_terminal import harmless

    click.echo(f"gateway: {harmless(message)}", err=True)
    sys.exit(status)
