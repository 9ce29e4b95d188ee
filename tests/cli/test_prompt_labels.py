"""`gateway prompts promote | rollback`: who may move production, and back again."""

from __future__ import annotations

import pytest

from gateway.adapters.prompt_labels import read_labels
from gateway.adapters.prompts import load
from tests.adapters.prompt_folders import BODY, folder, prompt, write
from tests.adapters.test_prompt_git import git
from tests.cli.conftest import CommandLine

OWNED = "owners: [ide-team]\n"


@pytest.fixture
def command(gateway_command: CommandLine) -> CommandLine:
    root = gateway_command.folder
    folder(root / "prompts", OWNED)
    git(root, "init", "-q")
    git(root, "config", "user.email", "ann@x.test")
    git(root, "config", "user.name", "Ann")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    return gateway_command


def served(command: CommandLine) -> str:
    return load(command.folder / "prompts").get("code/x").ref.version


def edit(command: CommandLine, version: str) -> None:
    text = prompt(OWNED, body=BODY.replace("You read", f"You know {version}"))
    write(command.folder, "prompts/code/x.prompt.j2", text.replace('"1.0.0"', f'"{version}"'))


def test_the_author_cannot_approve_alone(command: CommandLine) -> None:
    for options in ([], ["--approver", "Ann@X.test"], ["--author", "eve@x.test"]):
        result = command("prompts", "promote", "code/x", "production", *options)
        assert result.exit_code == 1
        assert "ann@x.test wrote this text of code/x, and cannot approve it" in result.output
    assert not (command.folder / "prompts" / "labels.yaml").exists()


def test_another_one_can(command: CommandLine) -> None:
    git(command.folder, "config", "user.email", "bob@x.test")

    result = command("prompts", "promote", "code/x", "production")

    assert result.exit_code == 0, result.output
    [move] = read_labels(command.folder / "prompts").moves
    assert (move.author, move.approver, move.was) == ("ann@x.test", "bob@x.test", None)
    assert "already" in command("prompts", "promote", "code/x", "production").output


def test_what_is_not_committed_is_whose_hands_it_is_in(command: CommandLine) -> None:
    git(command.folder, "config", "user.email", "bob@x.test")
    edit(command, "1.1.0")

    result = command("prompts", "promote", "code/x", "production")

    assert "bob@x.test wrote this text" in result.output


def test_other_labels_and_files_without_owners_have_no_gate(command: CommandLine) -> None:
    assert command("prompts", "promote", "code/x", "staging").exit_code == 0
    folder(command.folder / "prompts", body=BODY + "{# free #}")
    text = (command.folder / "prompts" / "code" / "x.prompt.j2").read_text("utf-8")
    write(command.folder, "prompts/code/x.prompt.j2", text.replace("1.0.0", "1.0.1"))

    assert command("prompts", "promote", "code/x", "production").exit_code == 0


def test_where_git_knows_nothing_people_say_who_they_are(
    gateway_command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = gateway_command.folder
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(root.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder(root / "prompts", OWNED)
    promote = ("prompts", "promote", "code/x", "production")

    assert "say so: --author" in gateway_command(*promote).output
    assert "say so: --approver" in gateway_command(*promote, "--author", "ann").output
    assert gateway_command(*promote, "--author", "ann", "--approver", "bob").exit_code == 0


def test_back_and_back_again(command: CommandLine) -> None:
    approve = ("--approver", "bob@x.test")
    for version in ("1.0.0", "1.1.0", "1.2.0"):
        edit(command, version)
        done = command("prompts", "promote", "code/x", "production", *approve)
        assert done.exit_code == 0, done.output
    assert served(command) == "1.2.0"
    assert "1.1.0" in command("prompts", "rollback", "code/x", "production").output
    assert served(command) == "1.1.0"
    assert command("prompts", "rollback", "code/x", "production").exit_code == 0
    assert served(command) == "1.0.0"
    last = command("prompts", "rollback", "code/x", "production")
    assert last.exit_code == 1
    assert "stood for nothing before" in last.output
    assert command("prompts", "rollback", "code/x", "production", "--to", "1.2.0").exit_code == 0
    assert served(command) == "1.2.0"


def test_a_broken_file_stands_in_no_way_back(command: CommandLine) -> None:
    approve = ("--approver", "bob@x.test")
    command("prompts", "promote", "code/x", "production", *approve)
    edit(command, "1.1.0")
    command("prompts", "promote", "code/x", "production", *approve)
    write(command.folder, "prompts/code/x.prompt.j2", "broken")

    assert command("prompts", "rollback", "code/x", "production").exit_code == 0
    assert command("prompts", "promote", "code/x", "production").exit_code == 1


@pytest.mark.parametrize("label", ["working", "Prod", "a b", "../x"])
def test_a_label_is_a_word(command: CommandLine, label: str) -> None:
    result = command("prompts", "promote", "code/x", label)

    assert result.exit_code == 1
    assert "is no label" in result.output


def test_only_what_a_label_stood_for_can_come_back(command: CommandLine) -> None:
    assert "has no label" in command("prompts", "rollback", "code/x", "staging").output
    command("prompts", "promote", "code/x", "staging")
    result = command("prompts", "rollback", "code/x", "staging", "--to", "9.9.9")
    assert "never stood for 9.9.9" in result.output
