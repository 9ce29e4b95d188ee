"""Teams and keys: only hashes are kept, and a plain key is never repeated back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.domain.document import Document
from gateway.settings.teams import (
    KeyHash,
    Team,
    hash_key,
    merge,
    read_teams,
    teams_of_variable,
)

SHA = "ab" * 32


def document(text: str) -> Document:
    return Document("teams.yaml", text)


def test_a_key_is_known_by_the_sha256_that_sha256sum_prints() -> None:
    digest = "a4a6d307ad00fa67176e1099fdbc4f4a09bb527a7f24718a5030f2f173d11f7f"

    assert hash_key("sk-a") == digest


def test_teams_and_keys_are_read_in_the_order_of_the_file() -> None:
    text = f"""\
teams:
  ide:
    keys:
      - {{id: ide-1, sha256: "{SHA}"}}
      - {{id: ide-2, sha256: "{SHA.upper().replace("AB", "CD")}"}}
  batch: {{keys: []}}
"""
    teams, problems = read_teams(document(text))

    assert problems == []
    assert teams == (
        Team(
            name="ide",
            keys=(KeyHash(id="ide-1", sha256=SHA), KeyHash(id="ide-2", sha256="cd" * 32)),
        ),
        Team(name="batch"),
    )


@pytest.mark.parametrize("text", ["", "teams:\n", "teams: {}\n"])
def test_a_file_may_name_no_teams(text: str) -> None:
    assert read_teams(document(text)) == ((), [])


def test_a_plain_key_in_the_file_is_refused_and_not_repeated() -> None:
    text = "teams:\n  ide:\n    keys:\n      - id: a\n        sha256: sk-gw-plain\n"

    teams, [problem] = read_teams(document(text))

    assert teams == ()
    assert problem.line == 5
    assert "is the key itself" in problem.message
    assert "sk-gw-plain" not in str(problem)
    assert "gateway keys create" in problem.fix


def test_a_hash_of_the_wrong_length_is_refused_with_its_line() -> None:
    text = "teams:\n  ide:\n    keys:\n      - {id: a, sha256: abc}\n"

    _, [problem] = read_teams(document(text))

    assert problem.line == 4
    assert "64 hex digits" in problem.message


def test_an_unknown_key_of_a_team_is_refused_with_what_was_meant() -> None:
    _, [problem] = read_teams(document("teams:\n  ide:\n    kyes: []\n"))

    assert problem.line == 3
    assert "did you mean 'keys'?" in problem.fix


def test_a_key_says_how_long_and_for_what_it_is_good() -> None:
    text = f"""\
teams:
  ide:
    models: [qwen-*]
    routes: [/v1/*]
    roles: [user, author]
    keys:
      - id: ide-1
        sha256: "{SHA}"
        not_before: 2027-01-01T09:00:00+09:00
        expires: 2027-01-31
        models: [qwen-coder]
        roles: [operator]
"""
    [team], problems = read_teams(document(text))

    assert problems == []
    assert (team.models, team.routes, team.roles) == (("qwen-*",), ("/v1/*",), ("user", "author"))
    [key] = team.keys
    assert (key.models, key.routes, key.roles) == (("qwen-coder",), (), ("operator",))
    assert key.not_before == datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert key.expires == datetime(2027, 2, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        ("expires: tomorrow", "2027-01-31", "2027-01-31"),
        ("expires: 2027-01-31T18:00:00", "has no zone", "+09:00"),
        ("not_before: 0001-01-01", "should be a day", "2027-01-31"),
        ("expires: true", "should be a day", "2027-01-31"),
        ("roles: [admin]", "roles", "user, author, operator"),
        ("roles: []", "roles", "user, author, operator"),
        ("models: qwen", "should be a list", "[qwen-*]"),
        ("expire: 2027-01-31", "unknown key", "did you mean 'expires'?"),
        ("models: [other]", "nothing in common", "qwen-*"),
        (f"models: [{', '.join(['qwen-a'] * 101)}]", "at most 100", "[qwen-*]"),
    ],
)
def test_what_makes_no_sense_of_a_key_is_refused_with_its_line(
    line: str, message: str, fix: str
) -> None:
    text = f"""\
teams:
  ide:
    models: [qwen-*]
    keys:
      - id: a
        sha256: "{SHA}"
        {line}
"""
    _, [problem] = read_teams(document(text))

    assert problem.line == 7
    assert message in problem.message
    assert fix in problem.fix


def test_a_key_that_ends_before_it_begins_is_refused() -> None:
    row = f'{{id: a, sha256: "{SHA}", not_before: 2027-02-01, expires: 2027-01-31}}'

    _, [problem] = read_teams(document(f"teams:\n  ide:\n    keys:\n      - {row}\n"))

    assert problem.line == 4
    assert "expires before it begins" in problem.message


def test_a_key_of_the_environment_has_its_teams_scope() -> None:
    named = (Team(name="ide", models=("qwen-*",)),)
    more = (Team(name="ide", keys=(KeyHash(id="env-1", sha256=SHA),)),)

    [team] = merge(named, more)

    assert (team.models, [key.id for key in team.keys]) == (("qwen-*",), ["env-1"])


def test_a_team_whose_name_cannot_be_a_label_is_refused() -> None:
    _, [problem] = read_teams(document('teams:\n  "a b": {keys: []}\n'))

    assert problem.line == 2
    assert "letters, digits" in problem.fix


def test_two_keys_of_one_id_or_one_hash_are_refused() -> None:
    text = f"""\
teams:
  ide:
    keys: [{{id: a, sha256: "{SHA}"}}]
  batch:
    keys:
      - {{id: a, sha256: "{"cd" * 32}"}}
      - {{id: b, sha256: "{SHA}"}}
"""
    _, problems = read_teams(document(text))

    assert [(one.line, one.message) for one in problems] == [
        (6, "the same id as a key of team 'ide'"),
        (7, "the same sha256 as a key of team 'ide'"),
    ]


def test_the_variable_holds_keys_of_the_default_team_and_of_named_ones() -> None:
    teams, problems = teams_of_variable(" sk-a , ide:sk-b,sk-c")

    assert problems == []
    assert [team.name for team in teams] == ["default", "ide"]
    assert [key.sha256 for key in teams[0].keys] == [hash_key("sk-a"), hash_key("sk-c")]
    assert teams[1].keys[0].id == f"env-{hash_key('sk-b')[:8]}"


@pytest.mark.parametrize("value", ["sk-secret,,sk-b", "ide:,sk-secret", "a b:sk-secret"])
def test_an_item_of_the_variable_that_makes_no_sense_is_named_by_its_number(value: str) -> None:
    _, [problem] = teams_of_variable(value)

    assert problem.file == "GATEWAY_API_KEYS"
    assert "item " in problem.message
    assert "sk-secret" not in str(problem)


def test_teams_of_both_sources_are_joined_and_a_shared_key_keeps_its_name() -> None:
    first = (Team(name="ide", keys=(KeyHash(id="ide-1", sha256=SHA),)),)
    second = (
        Team(
            name="ide",
            keys=(KeyHash(id="env-1", sha256=SHA), KeyHash(id="env-2", sha256="cd" * 32)),
        ),
        Team(name="default", keys=(KeyHash(id="env-3", sha256="ef" * 32),)),
    )

    joined = merge(first, second)

    assert [(team.name, [key.id for key in team.keys]) for team in joined] == [
        ("ide", ["ide-1", "env-2"]),
        ("default", ["env-3"]),
    ]
