"""`gateway` itself: help, version, and how little it loads for them."""

from __future__ import annotations

import subprocess
import sys

from click.testing import CliRunner

import gateway
from gateway.cli import main


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    for command in ("serve", "check", "keys"):
        assert f"  {command} " in result.output


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(main, ["--version"])

    assert (result.exit_code, result.output) == (0, f"gateway {gateway.__version__}\n")


def test_an_unknown_option_is_refused_with_2() -> None:
    result = CliRunner().invoke(main, ["serve", "--prot", "1"])

    assert result.exit_code == 2
    assert "--port" in result.output


def test_python_m_gateway_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.startswith("Usage: gateway serve [OPTIONS]")
    for option in ("--host", "--port", "--config", "--litellm-config", "--prompts", "--policies"):
        assert option in done.stdout


def test_help_loads_neither_settings_nor_servers() -> None:
    heavy = {"gateway.bootstrap", "gateway.web", "gateway.settings", "pydantic_settings"}
    heavy |= {"litellm", "fastapi", "uvicorn", "aiohttp", "httpx", "rich"}
    code = (
        "import sys\nfrom gateway.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(', '.join({heavy!r} & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
