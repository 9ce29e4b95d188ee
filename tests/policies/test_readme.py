"""The policy in policies/README.md works as it is written there, and so does its test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import Tools
from gateway.adapters.policy_files import available, load
from gateway.domain.document import Document
from gateway.settings.policies import PolicyEntry, read_policies

HERE = Path(__file__).parents[2]
README = (HERE / "policies" / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the policy and the test of the README."""
    policy, test = blocks("python")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "calm.py").write_text(policy)
    (tmp_path / "test_calm.py").write_text(test)
    return tmp_path


def test_the_policy_can_be_used_in_a_chain(project: Path) -> None:
    entry = PolicyEntry(use="calm", settings={"most": 1})
    (link,) = load([entry], project / "policies", Tools.fixed())
    assert link.policy.overrides("before")


def test_its_test_passes_without_a_server(project: Path) -> None:
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_calm.py"]
    # What the outer run was told is not for the inner one.
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment["PYTHONPATH"] = str(HERE)
    done = subprocess.run(run, cwd=project, env=environment, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_chain_is_one_that_the_gateway_takes() -> None:
    (chain,) = blocks("yaml")
    entries, problems = read_policies(Document("policies.yaml", chain))
    assert problems == []
    (link,) = load(entries, HERE / "policies", Tools.fixed())
    assert (link.name, link.when.teams, link.mode) == ("allowlist", ("interns",), "enforce")


def test_every_policy_of_the_folder_is_in_the_table() -> None:
    named = re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)
    assert set(named) == {path.stem for path in (HERE / "policies").glob("*.py")}
    assert set(named) <= set(available(HERE / "policies"))


def test_it_stays_short() -> None:
    assert len(README.splitlines()) <= 80
