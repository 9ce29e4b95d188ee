"""`gateway prompts render | diff | try` as people read them."""

from __future__ import annotations

import json

import pytest

from gateway.testing.mock_vllm import Behaviour
from gateway.testing.plugin import MockFleet
from tests.adapters.prompt_folders import BODY, folder
from tests.adapters.test_prompt_git import git
from tests.cli.conftest import CommandLine


@pytest.fixture
def command(gateway_command: CommandLine) -> CommandLine:
    root = gateway_command.folder
    folder(root / "prompts")
    git(root, "init", "-q")
    git(root, "config", "user.email", "ann@x.test")
    git(root, "config", "user.name", "Ann")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "x")
    return gateway_command


def test_render_shows_messages_tokens_and_prefix(command: CommandLine) -> None:
    result = command("prompts", "render", "code/x")

    assert result.exit_code == 0
    assert "[system, about 4 tokens]\nYou read code.\n" in result.output
    assert "prompt   code/x@1.0.0+" in result.output
    assert "of which code 1, ask 1" in result.output
    assert "the same while only 'ask' changes" in result.output


def test_diff_compares_with_the_last_commit(command: CommandLine) -> None:
    assert "the files are the same" in command("prompts", "diff", "code/x").output
    folder(command.folder / "prompts", body=BODY.replace("You read", "You know"))

    result = command("prompts", "diff", "code/x")

    assert result.exit_code == 0
    assert "-You read code.\n+You know code." in result.output
    assert "cached prefix: BREAKS after 11 of" in result.output
    assert "tokens about" in result.output
    found = json.loads(command("prompts", "diff", "code/x", "--format", "json").output)
    assert found["renderings"][0]["keeps"] is False


def test_diff_compares_with_another_folder_and_says_what_it_cannot(command: CommandLine) -> None:
    folder(command.folder / "other", body=BODY.replace("You read", "You know"))

    there = command("prompts", "diff", "code/x", "--against", "other")
    assert "-You know code.\n+You read code." in there.output
    for wrong in ("no-such-revision", "label:production-x"):
        result = command("prompts", "diff", "code/x", "--against", wrong)
        assert result.exit_code == 1, result.output


def test_try_streams_a_real_answer(command: CommandLine, mock_vllm_factory: MockFleet) -> None:
    mock = mock_vllm_factory(model="m")
    mock.script(Behaviour(text="It reads <\u2060|im_end|> well."))

    result = command("prompts", "try", "code/x", "--url", mock.base_url, "-i", "ask=why")

    assert result.exit_code == 0, result.output
    assert "It reads <|im_end|> well.\n" in result.output
    [asked] = mock.requests("/v1/chat/completions")
    assert "why" in json.dumps(asked.body)


def test_try_says_what_to_start(command: CommandLine) -> None:
    result = command("prompts", "try", "code/x", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert "start one with 'gateway serve'" in result.output
