"""What docs/how-to/ says of policies works as it is written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from gateway.chain import own_tools, read_chain
from gateway.domain.document import Document
from gateway.settings import Paths, Settings
from gateway.settings.policies import read_policies

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)


def built(chain: str) -> list[str]:
    entries, problems = read_policies(Document("policies.yaml", chain))
    assert problems == []
    settings = Settings(policies=entries, paths=Paths(policies_dir=ROOT / "policies"))
    return [link.name for link in read_chain(settings, own_tools())]


def test_the_policy_of_the_page_passes_its_test_without_a_server(tmp_path: Path) -> None:
    policy, test = blocks("write-a-policy.md", "python")
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "nightcap.py").write_text(policy)
    (tmp_path / "test_nightcap.py").write_text(test)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_nightcap.py"]
    # What the outer run was told is not for the inner one.
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_chain_of_the_page_on_limits_is_one_that_the_gateway_takes() -> None:
    (chain,) = blocks("limits.md", "yaml")
    assert built(chain) == ["audit", "schema", "concurrency", "ratelimit", "budget"]


def test_the_chain_to_begin_with_is_one_that_the_gateway_takes() -> None:
    text = (ROOT / "config" / "policies.yaml").read_text()
    commented = text[text.index("# A chain to begin with") :].splitlines()[1:]
    chain = "\n".join(line.removeprefix("# ") for line in commented)
    looking = ["audit", "schema", "redaction", "injection"]
    assert built(chain) == [*looking, "concurrency", "ratelimit", "budget"]
