"""`gateway check`: many ways to break a configuration, each refused with file, line and fix."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.settings import shipped
from tests.cli.conftest import CommandLine

MODEL = "{model: hosted_vllm/m, api_base: 'http://gpu:8000/v1'}"


@dataclass(frozen=True)
class Broken:
    """Files and variables that are wrong in one way; `at` begins the line that says so."""

    why: str
    at: str
    says: str
    fix: str
    files: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()


def settings(text: str) -> dict[str, str]:
    return {"config/gateway.yaml": text}


def models(text: str) -> dict[str, str]:
    return {"litellm_config.yaml": text}


CASES = [
    Broken(
        "the file is not YAML",
        "config/gateway.yaml:3: ",
        "not valid YAML",
        "indentation",
        settings("server:\n  port: [1\n  host: a\n"),
    ),
    Broken(
        "a key is there twice",
        "config/gateway.yaml:3: ",
        'duplicate key "port"',
        "keep one of the two",
        settings("server:\n  port: 1\n  port: 2\n"),
    ),
    Broken(
        "a setting is misspelt",
        "config/gateway.yaml:2: ",
        "unknown key 'timeouts.idel_s'",
        "did you mean 'idle_s'?",
        settings("timeouts:\n  idel_s: 5\n"),
    ),
    Broken(
        "a section is misspelt",
        "config/gateway.yaml:1: ",
        "unknown key 'sever'",
        "did you mean 'server'?",
        settings("sever:\n  port: 5\n"),
    ),
    Broken(
        "models are in the wrong file",
        "config/gateway.yaml:1: ",
        "unknown key 'model_list'",
        "live in litellm_config.yaml",
        settings("model_list: []\n"),
    ),
    Broken(
        "a number is a word",
        "config/gateway.yaml:2: ",
        "queue.size: input should be a valid integer",
        "size is: calls that may wait, for each model; default 256",
        settings("queue:\n  size: large\n"),
    ),
    Broken(
        "a number is out of range",
        "config/gateway.yaml:2: ",
        "retries.limit: input should be less than or equal to 3",
        "attempts on top of the first",
        settings("retries:\n  limit: 10\n"),
    ),
    Broken(
        "a variable is misspelt",
        "GATEWAY_SERVER_PORT: ",
        "unknown variable",
        "did you mean 'GATEWAY_SERVER__PORT'?",
        environ={"GATEWAY_SERVER_PORT": "9000"},
    ),
    Broken(
        "a variable has a value that does not fit",
        "GATEWAY_TELEMETRY__SAMPLE_RATIO: ",
        "less than or equal to 1",
        "share of calls traced",
        environ={"GATEWAY_TELEMETRY__SAMPLE_RATIO": "100"},
    ),
    Broken(
        "the address of the one vLLM has no path",
        "VLLM_BASE_URL: ",
        "has no path",
        "a vLLM's …/v1",
        environ={"VLLM_BASE_URL": "http://gpu:8000"},
    ),
    Broken(
        "the folder of the configuration is missing",
        "nowhere: ",
        "--config: there is no such folder",
        "leave --config out",
        arguments=("--config", "nowhere"),
    ),
    Broken(
        "the file of the models is missing",
        "nowhere.yaml: ",
        "--litellm-config: there is no such file",
        "leave --litellm-config out",
        arguments=("--litellm-config", "nowhere.yaml"),
    ),
    Broken(
        "the file of the models that was asked for names none",
        "empty.yaml:1: ",
        "names no models",
        "model_name and litellm_params",
        {"empty.yaml": "model_list: []\n"},
        arguments=("--litellm-config", "empty.yaml"),
    ),
    Broken(
        "a team's key is in plain text",
        "config/teams.yaml:4: ",
        "is the key itself",
        "gateway keys create --team NAME",
        {"config/teams.yaml": "teams:\n  ide:\n    keys:\n      - {id: a, sha256: sk-plain}\n"},
    ),
    Broken(
        "a team's key has a hash of the wrong length",
        "config/teams.yaml:4: ",
        "is not a SHA-256",
        "gateway keys create --team NAME",
        {"config/teams.yaml": "teams:\n  ide:\n    keys:\n      - {id: a, sha256: abc}\n"},
    ),
    Broken(
        "a policy looks at something unknown",
        "config/policies.yaml:3: ",
        "unknown key 'policies.0.when.team'",
        "did you mean 'teams'?",
        {"config/policies.yaml": "policies:\n  - use: a\n    when: {team: [x]}\n"},
    ),
    Broken(
        "a policy does an unknown thing when it breaks",
        "config/policies.yaml:3: ",
        "'refuse' or 'skip'",
        "`refuse`",
        {"config/policies.yaml": "policies:\n  - use: a\n    on_error: allow\n"},
    ),
    Broken(
        "a router setting is misspelt",
        "litellm_config.yaml:2: ",
        "unknown key 'router_settings.routing_stategy'",
        "did you mean 'routing_strategy'?",
        models("router_settings:\n  routing_stategy: least-busy\n"),
    ),
    Broken(
        "a routing strategy is unknown",
        "litellm_config.yaml:2: ",
        "'simple-shuffle'",
        "routing_strategy: simple-shuffle",
        models("router_settings:\n  routing_strategy: fastest\n"),
    ),
    Broken(
        "a replica has no address",
        "litellm_config.yaml:3: ",
        "no api_base for 'hosted_vllm/m'",
        "add api_base: http://HOST:8000/v1",
        models("model_list:\n  - model_name: a\n    litellm_params: {model: hosted_vllm/m}\n"),
    ),
    Broken(
        "a replica's address is no URL",
        "litellm_config.yaml:3: ",
        "not a URL",
        "api_base: http://HOST:8000/v1",
        models(
            "model_list:\n  - model_name: a\n"
            "    litellm_params: {model: hosted_vllm/m, api_base: gpu}\n"
        ),
    ),
    Broken(
        "a variable of the model file is not set",
        "litellm_config.yaml:3: ",
        "the environment variable GPU_HOST is not set",
        "export GPU_HOST=",
        models(
            "model_list:\n  - model_name: a\n"
            "    litellm_params: {model: hosted_vllm/m, api_base: os.environ/GPU_HOST}\n"
        ),
    ),
    Broken(
        "LiteLLM knows no such provider",
        "litellm_config.yaml:2: ",
        "the provider 'bedrok' is none that LiteLLM knows",
        "did you mean 'bedrock'?",
        models("model_list:\n  - {model_name: a, litellm_params: {model: bedrok/claude}}\n"),
    ),
    Broken(
        "a fallback names no model of the file",
        "litellm_config.yaml:4: ",
        "there is no model 'qwen-larg' in model_list",
        "did you mean 'qwen-large'?",
        models(
            f"model_list:\n  - {{model_name: qwen-large, litellm_params: {MODEL}}}\n"
            "router_settings:\n  fallbacks: [{qwen-large: [qwen-larg]}]\n"
        ),
    ),
    Broken(
        "two replicas have one id",
        "litellm_config.yaml:3: ",
        "model_info.id 'x' is taken by the item at line 2",
        "a name of its own",
        models(
            "model_list:\n"
            f"  - {{model_name: a, litellm_params: {MODEL}, model_info: {{id: x}}}}\n"
            f"  - {{model_name: b, litellm_params: {MODEL}, model_info: {{id: x}}}}\n"
        ),
    ),
    Broken(
        "others could call without a key",
        "config/gateway.yaml:2: ",
        "no keys are configured",
        "gateway keys create --team NAME",
        settings("server:\n  host: 0.0.0.0\n"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)
def test_it_refuses_when(gateway_command: CommandLine, case: Broken) -> None:
    for name, text in case.files.items():
        gateway_command.write(name, text)

    result = gateway_command("check", *case.arguments, **case.environ)

    assert result.exit_code == 1, result.output
    first, second, *_ = result.stderr.splitlines()
    assert first.startswith(case.at)
    assert case.says in first
    assert second.startswith("    fix: ")
    assert case.fix in second
    assert result.stderr.endswith("gateway: 1 problem; mend them and check again\n")


def test_a_configuration_that_is_fine_says_what_it_found(gateway_command: CommandLine) -> None:
    gateway_command.write(
        "litellm_config.yaml", f"model_list:\n  - {{model_name: a, litellm_params: {MODEL}}}\n"
    )

    result = gateway_command("check")

    assert result.exit_code == 0
    assert "models: 1 (a) on 1 replica" in result.stdout
    assert result.stdout.endswith("gateway: the configuration is fine\n")
    assert result.stderr == ""


def test_problems_of_several_files_are_told_together(gateway_command: CommandLine) -> None:
    gateway_command.write("config/policies.yaml", "policies:\n  - use: nobody\n")
    gateway_command.write("litellm_config.yaml", "router_settings:\n  retry: 1\n")

    result = gateway_command("check")

    assert result.exit_code == 1
    assert "config/policies.yaml:2: " in result.stderr
    assert "litellm_config.yaml:2: " in result.stderr
    assert "gateway: 2 problems; " in result.stderr


def test_what_was_shipped_is_fine(gateway_command: CommandLine) -> None:
    assert gateway_command("check").exit_code == 0


def test_it_does_without_litellm(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\nfrom gateway.cli import main\n"
            "try: main(['check'])\nexcept SystemExit as end: assert not end.code, end.code\n"
            "sys.exit('litellm' in sys.modules)",
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(shipped("."))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
