"""`gateway serve`: settings in, running gateway out."""

from __future__ import annotations

import errno
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.options import path_options, serving_settings, show

if TYPE_CHECKING:
    from gateway.domain.document import Problem
    from gateway.settings import Settings

REFUSED = 2


@click.command()
@click.option("--host", metavar="HOST", help="Address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, metavar="PORT", help="TCP port; 8000 by default.")
@path_options
@click.option("--workers", type=int, metavar="N", help="Processes; 1 by default.")
def serve(host: str | None, port: int | None, workers: int | None, **paths: Path | None) -> None:
    """Serve until stopped.

    Exits with 2 and says why when the configuration cannot be used.
    """
    # Here, not above: YAML and pydantic would double the time of `gateway --help`.
    from gateway.domain.document import ConfigError

    given = {"host": host, "port": port, "workers": workers}
    options = {name: value for name, value in given.items() if value is not None}
    again = partial(serving_settings, paths, {"server": options})
    try:
        settings = again()
        problem = settings.exposure_problem() or listen_problem(settings)
        if problem is not None:
            raise ConfigError([problem])
        # Only now: a second of imports would come before a message about a typing error.
        from gateway.web import server

        status = server.serve(settings, again)
    except ConfigError as error:
        show(error.problems, "not serving")
        status = REFUSED
    sys.exit(status)


def listen_problem(settings: Settings) -> Problem | None:
    """What stands in the way of listening, found by trying: a port in use, a name nobody knows."""
    from gateway.domain.document import Problem  # for the same reason as above

    host, port = settings.server.host, settings.server.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, number, _, address = found[0]
        with socket.socket(family, kind, number) as trial:
            # As the server will: a port that only lingers after a restart is free.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        message, fix = _why(error, host, port)
        place = settings.origin("server", "host" if isinstance(error, socket.gaierror) else "port")
        return Problem(place.file, place.line, message, fix)
    return None


def _why(error: OSError, host: str, port: int) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return f"{host!r} is no address of this machine", "serve on --host 127.0.0.1"
    if error.errno == errno.EADDRINUSE:
        fix = f"stop what listens there, or take another: --port {port % 65535 + 1}"
        return f"{host}:{port} is in use", fix
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}", "take one above 1023: --port 8000"
    return f"cannot listen on {host}:{port}: {error.strerror}", "serve on --host 127.0.0.1"
