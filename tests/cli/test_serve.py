"""`gateway serve`: hands settings over, or refuses with 2 and says why, without a traceback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.cli.serve import listen_problem
from gateway.domain.document import ConfigError, Problem
from gateway.settings import Settings
from gateway.settings.tree import Server
from tests.cli.conftest import CommandLine


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_settings_of_the_command_line_reach_the_gateway(gateway_command: CommandLine) -> None:
    gateway_command.write("ops/gateway.yaml", "server: {port: 1, workers: 2}\n")

    result = gateway_command(
        "serve",
        "--host",
        "localhost",
        "--port",
        "0",
        "--config",
        "ops",
        VLLM_BASE_URL="http://g/v1",
    )

    assert (result.exit_code, result.output) == (0, "")
    [settings] = gateway_command.served.settings
    assert (settings.server.host, settings.server.port) == ("localhost", 0)
    assert settings.server.workers == 2
    assert settings.upstream.url == "http://g/v1"
    assert str(settings.paths.config_dir) == "ops"


def test_the_exit_code_is_the_gateways(gateway_command: CommandLine) -> None:
    gateway_command.served.status = 3

    assert gateway_command("serve", "--port", "0").exit_code == 3


def test_a_broken_configuration_is_refused_with_2(gateway_command: CommandLine) -> None:
    result = gateway_command("serve", GATEWAY_SERVER__PORT="http")

    assert result.exit_code == 2
    assert result.stderr.startswith("GATEWAY_SERVER__PORT: server.port: ")
    assert result.stderr.endswith("gateway: 1 problem; not serving\n")
    assert gateway_command.served.settings == []


def test_what_the_gateway_itself_refuses_is_shown_the_same_way(
    gateway_command: CommandLine,
) -> None:
    gateway_command.served.refusal = ConfigError([Problem("m.yaml", 7, "is wrong", "mend it")])

    result = gateway_command("serve", "--port", "0")

    assert result.exit_code == 2
    assert "m.yaml:7: is wrong\n    fix: mend it\n" in result.stderr


def test_serving_to_others_without_keys_is_refused_with_the_fix(
    gateway_command: CommandLine,
) -> None:
    result = gateway_command("serve", "--host", "0.0.0.0", "--port", "0")

    assert result.exit_code == 2
    assert "--host: 0.0.0.0 can be reached from other machines" in result.stderr
    assert "gateway keys create --team NAME" in result.stderr
    assert gateway_command.served.settings == []


def test_serving_to_others_with_a_key_is_allowed(gateway_command: CommandLine) -> None:
    result = gateway_command("serve", "--host", "0.0.0.0", "--port", "0", GATEWAY_API_KEYS="sk-a")

    assert result.exit_code == 0


def test_a_port_in_use_is_one_clear_line(gateway_command: CommandLine, taken: int) -> None:
    result = gateway_command("serve", "--port", str(taken))

    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"--port: 127.0.0.1:{taken} is in use",
        f"    fix: stop what listens there, or take another: --port {taken % 65535 + 1}",
        "gateway: 1 problem; not serving",
    ]


def test_a_free_port_is_no_problem() -> None:
    assert listen_problem(Settings(server=Server(port=0))) is None


def test_an_address_of_another_machine_is_told() -> None:
    problem = listen_problem(Settings(server=Server(host="192.0.2.1", port=0)))

    assert problem is not None
    assert "192.0.2.1" in problem.message
    assert problem.fix == "serve on --host 127.0.0.1"
