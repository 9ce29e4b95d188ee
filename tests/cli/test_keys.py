"""`gateway keys create`: a key shown once, and lines that work when they are pasted."""

from __future__ import annotations

import re

import pytest

from gateway.domain.document import Document
from gateway.settings import hash_key
from gateway.settings.teams import read_teams
from tests.cli.conftest import CommandLine


def test_the_printed_lines_let_the_printed_key_in(gateway_command: CommandLine) -> None:
    result = gateway_command("keys", "create", "--team", "ide", "--id", "ide-1")

    assert result.exit_code == 0
    [key] = re.findall(r"^    (sk-gw-\S+)$", result.output, flags=re.MULTILINE)
    pasted = result.output[result.output.index("teams:\n") :]
    [team], problems = read_teams(Document("teams.yaml", pasted))
    assert problems == []
    assert (team.name, team.keys[0].id, team.keys[0].sha256) == ("ide", "ide-1", hash_key(key))
    assert result.output.count(key) == 1


def test_two_keys_are_never_the_same(gateway_command: CommandLine) -> None:
    first = gateway_command("keys", "create", "--team", "ide")
    second = gateway_command("keys", "create", "--team", "ide")

    keys = [re.findall(r"sk-gw-\S+", one.output)[0] for one in (first, second)]
    assert keys[0] != keys[1]
    assert all(len(key) >= 40 for key in keys)


@pytest.mark.parametrize("arguments", [["--team", "a b"], ["--team", "ide", "--id", "x:y"]])
def test_a_name_that_cannot_be_is_refused(
    gateway_command: CommandLine, arguments: list[str]
) -> None:
    result = gateway_command("keys", "create", *arguments)

    assert result.exit_code == 2
    assert "letters, digits" in result.output
    assert "sk-gw-" not in result.output
