"""Commands and the database: opened as `gateway serve` would, and what is said when it is away."""

from __future__ import annotations

from pathlib import Path

from gateway.settings import Settings
from tests.cli.conftest import CommandLine

SECRET = "hunter2"


def test_a_database_that_is_away_is_told_without_its_password(
    gateway_command: CommandLine, tmp_path: Path
) -> None:
    url = f"postgresql://gw:{SECRET}@/gateway?host={tmp_path}"
    result = gateway_command("usage", GATEWAY_STATE__DATABASE_URL=url)
    assert result.exit_code == 3
    assert "the database does not answer" in result.output
    assert SECRET not in result.output


def test_a_wrong_setting_is_told_with_its_place(gateway_command: CommandLine) -> None:
    result = gateway_command("audit", "verify", GATEWAY_STATE__DATABASE_URL="mysql://x/y")
    assert result.exit_code == 2
    assert "GATEWAY_STATE__DATABASE_URL" in result.output


def test_serve_keeps_its_state_in_the_folder_where_it_runs(gateway_command: CommandLine) -> None:
    assert gateway_command("serve", "--port", "0").exit_code == 0
    (settings,) = gateway_command.served.settings
    assert settings.state.folder == gateway_command.folder / "state"
    assert Settings().state.folder is None
