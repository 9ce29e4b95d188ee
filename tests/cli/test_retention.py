"""`gateway data`: exported, and deleted for good."""

from __future__ import annotations

import csv
import io
import json

import pytest

from gateway.cli import retention
from tests.cli.conftest import CommandLine
from tests.cli.ledgers import fill


def test_every_call_is_exported_as_a_line(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    rows = [json.loads(line) for line in gateway_command("data", "export").output.splitlines()]
    assert [row["uid"] for row in rows] == ["1", "2", "3", "4"]
    result = gateway_command("data", "export", "--format", "csv", "--since", "1d", "--team", "ide")
    table = list(csv.DictReader(io.StringIO(result.output)))
    assert [(row["uid"], row["model"]) for row in table] == [("1", "qwen"), ("4", "'=1+1")]


def test_what_is_old_is_counted_then_deleted_and_told(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    result = gateway_command("data", "purge", "--older-than", "30d", "--dry-run")
    assert result.output.splitlines() == [
        "usage: 1 would be deleted",
        "audit: 0 would be deleted",
        "records: none would be deleted",
    ]
    result = gateway_command("data", "purge", "--older-than", "30d", "--what", "usage")
    assert result.output.splitlines() == ["usage: 1 deleted"]
    assert len(gateway_command("data", "export").output.splitlines()) == 3
    listed = gateway_command("audit", "list", "--action", "usage.purge").output
    assert "cli" in listed
    assert '"rows":1' in listed
    assert gateway_command("audit", "verify").exit_code == 0


def test_wrong_words_are_told(gateway_command: CommandLine) -> None:
    assert "write 12h" in gateway_command("data", "purge", "--older-than", "soon").output
    wrong = gateway_command("data", "purge", "--older-than", "1d", "--what", "logs")
    assert "there are usage, audit, records" in wrong.output


def test_a_user_without_a_name_is_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("no such user")

    monkeypatch.setattr(retention.getpass, "getuser", nobody)
    assert retention.actor() == "cli"
