"""The fixtures give mocks that are as good as new, and leave no process behind."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet

pytest_plugins = ("gateway.testing.plugin",)

ROOT = Path(__file__).parents[2]
HEAVY = ("asyncio", "fastapi", "litellm", "httptools", "gateway.testing.mock_vllm")


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_gets_a_mock_that_is_as_good_as_new(mock_vllm: MockVLLM, turn: int) -> None:
    assert mock_vllm.requests() == []
    health = httpx.get(f"{mock_vllm.url}/health", trust_env=False, verify=False)
    assert health.status_code == 200
    mock_vllm.script(Behaviour(path="/health", status=500))
    mock_vllm.refuse()


def test_the_factory_gives_different_mocks_within_a_test(
    mock_vllm: MockVLLM, mock_vllm_factory: MockFleet
) -> None:
    replicas = [mock_vllm, mock_vllm_factory(), mock_vllm_factory(model="other")]
    assert len({mock.port for mock in replicas}) == 3
    assert all(mock.alive for mock in replicas)


def test_a_fleet_lends_the_same_process_again_even_when_it_was_killed() -> None:
    fleet = MockFleet()
    try:
        port = (first := fleet(model="m")).port
        first.kill()
        fleet.take_back()
        assert fleet(model="m").port == port
        assert fleet(model="n").port != port
        assert fleet(model="m").port != port
    finally:
        fleet.stop()


def test_at_the_end_of_a_session_no_process_is_left(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(
        "def test_two(mock_vllm, mock_vllm_factory):\n"
        "    print('pids', mock_vllm.pid, mock_vllm_factory().pid)\n"
        "def test_one(mock_vllm):\n"
        "    assert mock_vllm.alive\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "gateway.testing.plugin"]
    command += ["-p", "no:cacheprovider", "-p", "no:asyncio", "--rootdir", str(tmp_path)]
    inner = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "2 passed" in inner.stdout, inner.stdout + inner.stderr
    pids = inner.stdout.partition("pids ")[2].split()[:2]
    assert len(set(pids)) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.rstrip(".")), 0)


def test_importing_the_plugin_loads_neither_mock_nor_server() -> None:
    # The package's own file is not the plugin's doing, so it is left out.
    program = (
        "import sys, types\n"
        "package = sys.modules['gateway'] = types.ModuleType('gateway')\n"
        "package.__path__ = ['gateway']\n"
        "import pytest\n"
        "before = set(sys.modules)\n"
        "import gateway.testing.plugin\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "gateway.testing.plugin" in loaded
    assert not set(HEAVY) & set(loaded)
