"""`gateway policies`: the chain on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

SHIPPED = str(Path(__file__).parents[2] / "policies")
CHAIN = """
policies:
  - use: ratelimit
    with: {rules: [{per: key, requests: 60}]}
  - use: allowlist
    with: {models: [m]}
    when: {teams: [interns]}
"""
MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: "http://127.0.0.1:9/v1"}
  - model_name: big
    litellm_params: {model: hosted_vllm/big, api_base: "http://127.0.0.1:9/v1"}
"""


@pytest.fixture
def cli(gateway_command: CommandLine) -> CommandLine:
    gateway_command.write("config/policies.yaml", CHAIN)
    gateway_command.write("litellm_config.yaml", MODELS)
    return gateway_command


def test_the_chain_is_listed_in_its_order_and_so_is_what_else_there_is(cli: CommandLine) -> None:
    result = cli("policies", "list", "--policies", SHIPPED)
    assert result.exit_code == 0
    first, second, rest = result.output.splitlines()
    assert first.startswith("1. ratelimit  before  every call  enforce")
    assert second.startswith("2. allowlist  before  teams interns")
    assert "budget" in rest
    assert "ratelimit" not in rest


def test_a_mistake_is_told_with_its_line_and_what_to_type(cli: CommandLine) -> None:
    cli.write("config/policies.yaml", CHAIN.replace("requests:", "requets:"))
    for command in ("list", "check"):
        result = cli("policies", command, "--policies", SHIPPED)
        assert result.exit_code == 1
        assert "policies.yaml:3: ratelimit: unknown key 'with.rules.0.requets'" in result.stderr
        assert "did you mean 'requests'?" in result.stderr


def test_a_sound_chain_passes_the_check_with_its_remarks(cli: CommandLine) -> None:
    cli.write("config/policies.yaml", "policies: [{use: budget, with: {rules: [{money: 5}]}}]\n")
    result = cli("policies", "check", "--policies", SHIPPED)
    assert result.exit_code == 0
    assert "warning: policy budget: no price for big, m" in result.output


def test_what_a_call_would_meet_is_explained(cli: CommandLine) -> None:
    result = cli("policies", "explain", "anyone", "m", "--policies", SHIPPED)
    assert result.exit_code == 0, result.output
    assert "header x-ratelimit-limit-requests: 60" in result.output
    assert result.output.splitlines()[-1] == "let through"


def test_a_call_that_would_be_refused_exits_with_3(cli: CommandLine) -> None:
    arguments = ("policies", "explain", "anyone", "big", "--team", "interns", "--format", "json")
    result = cli(*arguments, "--policies", SHIPPED)
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert (told["refused"], told["team"]) == (403, "interns")
    assert [step["verdict"] for step in told["policies"]] == ["allowed", "refused"]


def test_a_body_is_read_from_a_file(cli: CommandLine) -> None:
    file = cli.write("body.json", "{")
    arguments = ("policies", "explain", "anyone", "m", "--policies", SHIPPED, "--body")
    assert "not valid JSON" in cli(*arguments, str(file)).stderr
    assert "cannot be read" in cli(*arguments, "nowhere.json").stderr
    file.write_text('{"messages": []}')
    assert cli(*arguments, str(file)).exit_code == 0


def test_serving_with_traced_policies_is_a_setting_of_that_run(cli: CommandLine) -> None:
    cli("serve", "--trace-policies", "--policies", SHIPPED)
    cli("serve", "--policies", SHIPPED)
    assert [one.telemetry.trace_policies for one in cli.served.settings] == [True, False]
