"""`gateway keys`: a key is shown once; lines work when pasted; the database has the rest."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.adapters.database import Database
from gateway.domain.document import Document
from gateway.settings import hash_key
from gateway.settings.moment import moment
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


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which a server has had its database."""
    asyncio.run(_make(tmp_path / "gateway.db"))
    monkeypatch.setenv("GATEWAY_STATE__FOLDER", str(tmp_path))
    return tmp_path


async def _make(file: Path) -> None:
    await (await Database.open(f"sqlite:///{file}")).aclose()


def test_a_key_lives_in_the_servers_database_from_its_making_to_its_end(
    gateway_command: CommandLine, state: Path
) -> None:
    made = gateway_command(
        "keys", "create", "--team", "ide", "--id", "k1", "--expires", "2190-01-31"
    )
    [key] = re.findall(r"^    (sk-gw-\S+)$", made.output, flags=re.MULTILINE)
    turned = gateway_command("keys", "rotate", "k1", "--overlap", "1h", "--json")
    fresh = json.loads(turned.output)
    revoked = gateway_command("keys", "revoke", fresh["id"])
    rows = json.loads(gateway_command("keys", "list", "--json").output)

    assert [one.exit_code for one in (made, turned, revoked)] == [0, 0, 0]
    assert fresh["key"].startswith(fresh["prefix"])
    assert [(row["id"], row["revoked_at"] is None) for row in rows] == [
        ("k1", True),
        (fresh["id"], False),
    ]
    table = gateway_command("keys", "list").output
    assert table.splitlines()[0].split()[:4] == ["ID", "TEAM", "PREFIX", "STATE"]
    assert "revoked" in table
    kept = b"".join(one.read_bytes() for one in state.iterdir() if one.is_file())
    assert key.encode() not in kept
    assert fresh["key"].encode() not in kept
    assert key not in table + json.dumps(rows)
    assert b"key.revoke" in kept


def test_with_print_nothing_is_stored(gateway_command: CommandLine, state: Path) -> None:
    words = ("keys", "create", "--team", "ide", "--print", "--model", "qwen-*", "--role", "author")
    printed = gateway_command(*words, "--expires", "2190-01-31", "--note", "n").output

    [team], problems = read_teams(Document("teams.yaml", printed[printed.index("teams:\n") :]))
    assert problems == []
    [key] = team.keys
    assert (key.models, key.roles) == (("qwen-*",), ("author",))
    assert key.expires == moment("2190-01-31", end=True)
    assert json.loads(gateway_command("keys", "list", "--json").output) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("revoke", "nobody"), "No such key in the database; `gateway keys list`"),
        (("rotate", "nobody", "--overlap", "soon"), "30m, 24h"),
        (("create", "--team", "ide", "--expires", "soon"), "2027-01-31"),
        (("create", "--team", "ide", "--role", "king"), "role"),
        (("create", "--team", "a b"), "letters, digits"),
    ],
)
def test_what_cannot_be_is_said_with_what_to_type(
    gateway_command: CommandLine, state: Path, arguments: tuple[str, ...], said: str
) -> None:
    result = gateway_command("keys", *arguments)

    assert result.exit_code == 2
    assert said in result.output
    assert "sk-gw-" not in result.output
