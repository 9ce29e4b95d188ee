"""Rules and metrics by Prometheus' own tools, which `make test` skips where they are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.testing.mock_vllm import MockVLLM
from tests.live.fronted import CHAT, MODEL, ask, write_litellm_config
from tests.live.vllm_server import Replica
from tests.prometheus_programs import fetched
from tests.served_command import served_command

pytestmark = pytest.mark.live


def test_with_the_programs_each_rule_is_tried_and_nothing_is_skipped() -> None:
    fetched()
    command = [sys.executable, "-m", "pytest", "tests/deploy", "-q", "-p", "no:cacheprovider"]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " skipped" not in ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_promtool_has_nothing_against_what_a_gateway_tells(
    mock: MockVLLM, tmp_path: Path, stream: bool
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    write_litellm_config(folder, [Replica(mock.base_url, "m")])
    asked = {"model": MODEL, "messages": CHAT, "stream": stream}
    with served_command(folder, "--workers", "2") as served:
        assert ask(served.url, "/v1/chat/completions", asked).status_code == 200
        page = httpx.get(f"{served.url}/metrics").content
    command = [str(fetched().promtool), "check", "metrics"]
    ran = subprocess.run(command, input=page, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, b"")
