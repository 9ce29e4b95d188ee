"""The wheel: built, installed apart from the checkout, and used from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parents[1]
Run = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs `python -m gateway …` with the wheel first on the path, in an empty folder."""
    target, empty = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("empty")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps"]
    subprocess.run([*install, "--target", str(target), str(wheel)], check=True)

    def run(*arguments: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(target)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    return run


def test_it_carries_what_a_team_edits_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder in ("prompts", "policies", "config"):
        carried = {name.removeprefix("gateway/_shipped/") for name in names}
        ours = {
            str(file.relative_to(ROOT))
            for file in (ROOT / folder).rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }
        assert ours <= carried
    assert "gateway/_shipped/litellm_config.yaml" in names
    assert "gateway/py.typed" in names
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_it_runs_without_a_checkout(installed: Run) -> None:
    where = installed("-c", "import gateway; print(gateway.__file__)")
    assert str(ROOT) not in where
    assert installed("-m", "gateway", "--version").strip() == f"gateway {gateway.__version__}"


def test_it_makes_its_own_database(installed: Run) -> None:
    code = (
        "import asyncio\n"
        "from gateway.adapters.database import Database\n"
        "async def run():\n"
        "    await (await Database.open('sqlite:///made/gateway.db')).aclose()\n"
        "asyncio.run(run())"
    )
    installed("-c", code)


def test_what_it_ships_is_valid_configuration(installed: Run) -> None:
    installed("-m", "gateway", "check")
