"""`gateway prompts lint | fmt | test | new`, and how little the command loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gateway.adapters.prompts import load
from tests.adapters.prompt_folders import BODY, CACHE, HEAD, folder
from tests.cli.conftest import CommandLine


def test_lint_is_quiet_about_a_sound_folder(gateway_command: CommandLine) -> None:
    folder(gateway_command.folder / "prompts")

    result = gateway_command("prompts", "lint")

    assert (result.exit_code, result.output) == (0, "no problems\n")


def test_lint_fails_for_errors_and_for_warnings_where_asked(gateway_command: CommandLine) -> None:
    folder(gateway_command.folder / "prompts", head=HEAD + CACHE)
    assert gateway_command("prompts", "lint").exit_code == 0
    assert gateway_command("prompts", "lint", "--strict").exit_code == 1
    folder(gateway_command.folder / "prompts", body=BODY.replace("{{ code }}", "{{ cod }}"))

    result = gateway_command("prompts", "lint")

    assert result.exit_code == 1
    assert "code/x.prompt.j2:22:4: E110 'cod' is not declared" in result.output
    assert "did you mean 'code'?" in result.output
    assert result.output.endswith("1 errors, 0 warnings\n")


def test_lint_speaks_json(gateway_command: CommandLine) -> None:
    folder(gateway_command.folder / "elsewhere", head=HEAD + CACHE)

    result = gateway_command("prompts", "lint", "--format", "json", "--prompts", "elsewhere")

    [row] = json.loads(result.output)
    assert (row["code"], row["severity"], row["line"]) == ("W250", "warning", 4)


def test_fmt_checks_and_mends(gateway_command: CommandLine) -> None:
    body = BODY.replace("{{ code }}", "{{code}}")
    file = folder(gateway_command.folder / "prompts", body=body) / "code" / "x.prompt.j2"

    assert gateway_command("prompts", "fmt", "--check").exit_code == 1
    assert "{{code}}" in file.read_text("utf-8")
    assert gateway_command("prompts", "fmt").exit_code == 0
    assert "{{code}}" not in file.read_text("utf-8")
    assert gateway_command("prompts", "fmt", "--check").output == ""


def test_test_runs_the_tests_inside(gateway_command: CommandLine) -> None:
    root = folder(gateway_command.folder / "prompts")
    assert gateway_command("prompts", "test").output == (
        "ok   code/x: says it\n1 passed, 0 failed\n"
    )
    folder(root, body=BODY.replace("{{ ask }}", ""))

    result = gateway_command("prompts", "test", "code/x")

    assert result.exit_code == 1
    assert "FAIL code/x: says it\n       the messages do not contain 'ASK'\n" in result.output
    rows = json.loads(gateway_command("prompts", "test", "--format", "json").output)
    assert [(row["test"], row["ok"]) for row in rows] == [("says it", False)]


def test_test_knows_no_other_name(gateway_command: CommandLine) -> None:
    folder(gateway_command.folder / "prompts")

    result = gateway_command("prompts", "test", "code/y")

    assert result.exit_code == 1
    assert "did you mean 'code/x'?" in result.output


def test_new_writes_a_file_once(gateway_command: CommandLine) -> None:
    folder(gateway_command.folder / "prompts")

    assert gateway_command("prompts", "new", "code/sum-up").exit_code == 0
    assert gateway_command("prompts", "lint", "--strict").exit_code == 0
    assert gateway_command("prompts", "test").exit_code == 0
    again = gateway_command("prompts", "new", "code/sum-up")
    assert again.exit_code == 1
    assert "is there already" in again.output


@pytest.mark.parametrize("kind", ["text", "rewrite", "review", "file"])
def test_new_writes_one_of_the_kind_that_is_asked_for(
    gateway_command: CommandLine, kind: str
) -> None:
    (gateway_command.folder / "prompts").mkdir()

    made = gateway_command("prompts", "new", "code/sum-up", "--kind", kind, "--prompts", "prompts")

    assert made.exit_code == 0, made.output
    assert load(gateway_command.folder / "prompts").get("code/sum-up").output["kind"] == kind


@pytest.mark.parametrize("name", ["../x", "/x", "Code/X", "a//b", "a.b"])
def test_new_takes_no_name_that_leads_elsewhere(gateway_command: CommandLine, name: str) -> None:
    result = gateway_command("prompts", "new", name, "--prompts", ".")

    assert result.exit_code == 1
    assert "is no name for a prompt" in result.output


def test_it_loads_no_server_and_no_model_library(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = folder(tmp_path_factory.mktemp("prompts"))
    heavy = {"litellm", "fastapi", "starlette", "uvicorn", "aiohttp", "opentelemetry", "openai"}
    code = (
        "import sys\nfrom gateway.cli import main\n"
        f"try: main(['prompts', 'lint', '--prompts', {str(root)!r}])\nexcept SystemExit: pass\n"
        f"sys.exit(', '.join({heavy!r} & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "no problems\n")
