"""What the commands of `gateway prompts` share: inputs from options and files, counts of tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.prompt_folders import VARIANTS, folder, write
from tests.cli.conftest import CommandLine


@pytest.fixture
def command(gateway_command: CommandLine) -> CommandLine:
    folder(gateway_command.folder / "prompts")
    return gateway_command


def rendered(command: CommandLine, *options: str) -> dict[str, Any]:
    result = command("prompts", "render", "code/x", "--format", "json", *options)
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.output))


def test_without_inputs_the_first_test_s_are_taken(command: CommandLine) -> None:
    assert rendered(command)["messages"][1]["content"] == "CODE\nASK"


def test_inputs_come_from_options_files_and_both(command: CommandLine) -> None:
    write(command.folder, "a.py", "print(1)")
    write(command.folder, "inputs.yaml", "code: from the file\nask: no\n")

    assert rendered(command, "-i", "ask=why=?")["messages"][1]["content"] == "\nwhy=?"
    assert "print(1)" in rendered(command, "-i", "code=@a.py")["messages"][1]["content"]
    both = rendered(command, "--inputs", "inputs.yaml", "-i", "ask=why")
    assert both["messages"][1]["content"] == "from the file\nwhy"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-i", "ask"], "has no '='"),
        (["-i", "aks=1"], "did you mean 'ask'?"),
        (["--inputs", "none.yaml"], "cannot be read"),
        (["--version", "9.9.9"], "is here at version 1.0.0"),
        (["--variant", "cold"], "has no variant 'cold'"),
    ],
)
def test_what_does_not_fit_is_told(command: CommandLine, options: list[str], says: str) -> None:
    result = command("prompts", "render", "code/x", *options)

    assert result.exit_code == 1
    assert says in result.output


def test_a_variant_is_shown_where_it_is_named(command: CommandLine) -> None:
    more = "".join(line + "\n" for line in VARIANTS.split("\n")[:3])
    folder(command.folder / "prompts", more)

    assert "variant" not in rendered(command)["prompt"]
    assert rendered(command, "--variant", "cold")["params"]["temperature"] == 0


def test_counts_are_exact_with_a_tokenizer_and_say_so_without(command: CommandLine) -> None:
    vocabulary = {"CODE": 0, "ASK": 1, "[UNK]": 2}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    }
    file = write(command.folder, "tokenizer.json", json.dumps(tokenizer))

    assert rendered(command)["exact"] is False
    exact = rendered(command, "--tokenizer", str(file))
    assert (exact["exact"], exact["messages"][1]["tokens"]) == (True, 2)
    settings = command.folder / "config"
    write(settings, "gateway.yaml", "assist:\n  #tokenizers: {}\n")
    assert rendered(command)["exact"] is False
    write(settings, "gateway.yaml", "assist: {tokenizers: {m: ../tokenizer.json}}\n")
    assert rendered(command)["exact"] is True
    write(settings, "gateway.yaml", "\n")
    named = json.dumps({"m": str(file)})
    given = {"GATEWAY_ASSIST__TOKENIZERS": named}
    said = command("prompts", "render", "code/x", "--format", "json", **given)
    assert json.loads(said.output)["exact"] is True
