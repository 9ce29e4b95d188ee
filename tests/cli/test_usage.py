"""`gateway usage`: tables, JSON and CSV of the ledger, and what it says without one."""

from __future__ import annotations

import csv
import io
import json

from tests.cli.conftest import CommandLine
from tests.cli.ledgers import fill


def test_a_table_shows_the_last_thirty_days_by_team_and_model(
    gateway_command: CommandLine,
) -> None:
    fill(gateway_command.folder)
    result = gateway_command("usage")
    assert result.exit_code == 0, result.output
    head, *lines = result.output.splitlines()
    assert head.split()[:3] == ["team", "model", "requests"]
    assert [line.split()[:3] for line in lines] == [
        ["ide", "=1+1", "1"],
        ["ide", "qwen", "1"],
        ["web", "qwen", "1"],
    ]
    assert "2.5" in lines[2]


def test_json_and_csv_are_for_programs(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    asked = gateway_command("usage", "--by", "team", "--since", "2000-01-01", "--format", "json")
    assert [(row["team"], row["requests"]) for row in json.loads(asked.output)] == [
        ("ide", 3),
        ("web", 1),
    ]
    asked = gateway_command("usage", "--by", "model", "--format", "csv", "--team", "ide")
    table = list(csv.reader(io.StringIO(asked.output)))
    assert [line[0] for line in table] == ["model", "'=1+1", "qwen"]


def test_a_wrong_word_is_told_what_there_is(gateway_command: CommandLine) -> None:
    result = gateway_command("usage", "--by", "teem")
    assert result.exit_code == 2
    assert "did you mean 'team'" in result.output
    assert "write a day" in gateway_command("usage", "--since", "soon").output


def test_where_no_gateway_has_run_it_makes_no_database(gateway_command: CommandLine) -> None:
    result = gateway_command("usage")
    assert result.exit_code == 2
    assert "there is no database" in result.output
    assert "state.folder" in result.output
    assert not (gateway_command.folder / "state").exists()


def test_nothing_used_is_said_in_words(gateway_command: CommandLine) -> None:
    fill(gateway_command.folder)
    assert gateway_command("usage", "--team", "nobody").output.startswith("Nothing was used")
