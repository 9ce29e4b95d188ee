"""One prompt made into a request: structured answers. The rest is in test_prompts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_render import render
from gateway.adapters.prompt_trials import failures
from gateway.adapters.prompts import load
from gateway.domain.document import ConfigError
from tests.adapters.prompt_folders import CACHE, HEAD, folder

SCHEMA = "{type: object, required: [findings], properties: {findings: {type: array}}}"
OUTPUT = f"output: {{kind: review, protocol: json, schema: {SCHEMA}}}\n"
TRIAL = """tests:
  - name: one
    inputs: {{}}
    reply: '{reply}'
    expect: {{valid: {valid}}}
"""


def test_a_structured_answer_is_asked_for_in_openai_s_words(tmp_path: Path) -> None:
    loaded = load(folder(tmp_path, OUTPUT)).loaded("code/x")

    held = render(loaded, {}).params["response_format"]

    assert (held["type"], held["json_schema"]["strict"]) == ("json_schema", True)
    assert held["json_schema"]["schema"]["required"] == ["findings"]


def test_a_schema_and_its_protocol_go_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'protocol: json' and 'schema' go together"):
        load(folder(tmp_path, "output: {protocol: json}\n"))


@pytest.mark.parametrize(
    ("reply", "valid", "holds"),
    [
        ('{"findings": []}', "true", True),
        ("{}", "true", False),
        ("[]", "true", False),
        ("no", "true", False),
        ("no", "false", True),
    ],
)
def test_a_recorded_structured_answer_is_looked_at(
    tmp_path: Path, reply: str, valid: str, holds: bool
) -> None:
    head = HEAD + CACHE + OUTPUT + TRIAL.format(reply=reply, valid=valid)

    assert (failures(load(folder(tmp_path, head=head)), "code/x") == []) is holds
