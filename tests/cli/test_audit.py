"""`gateway audit`: verified, listed and exported."""

from __future__ import annotations

import json
import sqlite3

from tests.cli.conftest import CommandLine
from tests.cli.ledgers import fill


def test_a_whole_log_is_ok_and_its_head_finds_a_cut_tail(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    result = gateway_command("audit", "verify")
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "ok: 2 rows")
    head = result.output.split("head: ")[1].strip()
    change(gateway_command, "DELETE FROM audit WHERE seq = 2")
    assert gateway_command("audit", "verify").exit_code == 0
    result = gateway_command("audit", "verify", "--head", head)
    assert result.exit_code == 1
    assert "rows 2 to 2 are cut off" in result.output


def test_a_changed_row_is_named(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    change(gateway_command, "UPDATE audit SET actor = 'nobody' WHERE seq = 1")
    result = gateway_command("audit", "verify")
    assert result.exit_code == 1
    assert "broken: row 1: was changed" in result.output


def test_a_head_that_is_none_is_told(gateway_command: CommandLine) -> None:
    result = gateway_command("audit", "verify", "--head", "12")
    assert result.exit_code == 2
    assert "NUMBER:HASH" in result.output


def test_rows_are_listed_and_exported(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    (line,) = gateway_command("audit", "list", "--action", "key.revoke").output.splitlines()
    assert "operators-1  key.revoke  ide-1" in line
    rows = [json.loads(line) for line in gateway_command("audit", "export").output.splitlines()]
    assert [row["action"] for row in rows] == ["key.create", "key.revoke"]
    assert rows[1]["prev"] == rows[0]["hash"]
    assert gateway_command("audit", "list", "--until", "2020-01-01").output == ""


def change(gateway_command: CommandLine, statement: str) -> None:
    connection = sqlite3.connect(gateway_command.folder / "state" / "gateway.db")
    with connection:
        connection.execute(statement)
    connection.close()
