"""docs/how-to/python-client.md and shell.md: their code is run, and does what the pages say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway.client
from gateway.cli.ai import ai
from gateway.domain.actions import ACTIONS
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

ROOT = Path(__file__).parents[1]
PYTHON = (ROOT / "docs" / "how-to" / "python-client.md").read_text("utf-8")
SHELL = (ROOT / "docs" / "how-to" / "shell.md").read_text("utf-8")
MEAN = "def mean(xs):\n    return sum(xs) / len(xs)\n"
BETTER = "def mean(xs):\n    if not xs:\n        return 0\n    return sum(xs) / len(xs)\n"


@pytest.fixture
def url(mock_vllm_factory: MockFleet) -> Iterator[str]:
    """A gateway whose model always answers with the better code."""
    mock = mock_vllm_factory(model="m")
    mock.script(Behaviour(text=BETTER))
    with ServedGateway(fleet_on([mock.base_url]), Settings()) as served:
        yield served.url


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mean.py").write_text(MEAN)
    git = ["git", "-c", "user.email=ann@example.org", "-c", "user.name=Ann"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Add mean"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)
    return tmp_path


def run(command: list[str], folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GATEWAY_", "VLLM_"))}
    environ = {**clean, "PYTHONPATH": str(ROOT), "GATEWAY_URL": url, "PYTHONWARNINGS": "error"}
    return subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, timeout=100
    )


def test_the_code_of_the_python_page_runs(url: str, project: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PYTHON, re.DOTALL)
    code = "\n".join([*blocks, "client.close()"])
    ran = run([sys.executable, "-c", code], project, url)
    assert ran.returncode == 0, ran.stderr
    assert (project / "src" / "mean.py").read_text() == BETTER
    assert "404 model_not_found" in ran.stdout


def test_the_python_page_names_every_action_and_every_name_is_there() -> None:
    for action in ACTIONS:
        assert f"`{action.name.replace('-', '_')}(" in PYTHON
    for name in re.findall(r"`([A-Z]\w+(?:Error|Failed|Event|Answer|Apply|File|ing))`", PYTHON):
        assert name in gateway.client.__all__


def test_every_command_of_the_shell_page_does_what_it_says(url: str, project: Path) -> None:
    program = f'set -o pipefail; gateway() {{ "{sys.executable}" -m gateway "$@"; }}\n'
    lines = [
        line
        for block in re.findall(r"```console\n(.*?)```", SHELL, re.DOTALL)
        for line in block.splitlines()
    ]
    printed = command = ""
    for line in lines:
        if not line.startswith("$ "):
            assert line in printed, f"{command}\n{printed}"
            continue
        command = line[2:].replace("http://127.0.0.1:8000", url)
        ran = run(["bash", "-ec", program + command], project, url)
        printed = ran.stdout + ran.stderr
        assert ran.returncode == 0, f"{command}\n{printed}"


def test_the_shell_page_names_every_command() -> None:
    for name in ai.commands:
        assert f"gateway ai {name}" in SHELL
    assert set(ai.commands) == {action.name for action in ACTIONS}
