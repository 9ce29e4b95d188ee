"""What is refused before anything is served. Those that serve: tests/live/test_process.py."""

from __future__ import annotations

import socket

import pytest

from gateway.domain.document import ConfigError
from gateway.settings import Settings
from gateway.web.server import own_version, serve


def test_a_port_in_use_is_one_problem_and_nothing_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot listen"):
            serve(Settings(server={"port": port}))  # type: ignore[arg-type]


def test_what_check_refuses_is_not_served() -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        serve(Settings(server={"host": "0.0.0.0"}))  # type: ignore[arg-type]


def test_the_version_is_the_installed_packages() -> None:
    assert own_version()[0].isdigit()
