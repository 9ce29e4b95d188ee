"""`gateway ai` through a real gateway: what it prints, what it changes, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.client.contract_server import closed_port
from tests.shared_gateway import forgetful

ROOT = Path(__file__).parents[2]
MEAN = "def mean(xs):\r\n    return sum(xs) / len(xs)\r\n"
NEW = MEAN.replace("/ len(xs)", "/ (len(xs) or 1)")
QUICK = forgetful()

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def _replica() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module")
def _url(_replica: MockVLLM) -> Iterator[str]:
    with ServedGateway(fleet_on([_replica.base_url]), QUICK) as served:
        yield served.url


@pytest.fixture
def replica(_replica: MockVLLM) -> MockVLLM:
    _replica.renew()
    return _replica


@pytest.fixture
def url(_url: str, replica: MockVLLM, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GATEWAY_URL", _url)
    return _url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one file in a folder, and rules."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mean.py").write_bytes(MEAN.encode())
    (tmp_path / "AGENTS.md").write_text("Rule one: be brief.\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ai(*arguments: str, **more: Any) -> Result:
    return CliRunner().invoke(main, ["ai", *arguments], **more)


def asked(replica: MockVLLM) -> str:
    """All that the model was told, last time."""
    return json.dumps(replica.requests("/v1/chat/completions")[-1].body["messages"])


def test_an_explanation_is_printed_and_nothing_else(
    url: str, project: Path, replica: MockVLLM
) -> None:
    replica.script(Behaviour(deltas=("It ", "divides.")))
    ran = ai("explain", "src/mean.py:2", "Why?")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, "It divides.\n", "")
    assert "Why?" in asked(replica)
    assert "Rule one" in asked(replica)


def test_options_go_with_the_question(url: str, project: Path, replica: MockVLLM) -> None:
    (project / "b.py").write_text("SECOND = 2\n")
    replica.script(Behaviour(text="x"))
    given = ["--related", "b.py", "--no-rules", "--language", "ko", "--max-tokens", "9"]
    ran = ai("explain", "src/mean.py", "--model", "m", "--json", "--timeout", "30", *given)
    assert ran.exit_code == 0
    said = json.loads(ran.stdout)
    assert said["prompt"]["name"] == "code/explain"
    assert "SECOND" in asked(replica)
    assert "Rule one" not in asked(replica)
    assert replica.requests("/v1/chat/completions")[-1].body["max_tokens"] == 9
    assert ai("explain", "src/mean.py", "--model", "nope").exit_code == 3


def test_a_text_that_is_cut_ends_with_1(url: str, project: Path, replica: MockVLLM) -> None:
    replica.script(Behaviour(text="It div", finish_reason="length"))
    ran = ai("explain", "src/mean.py")
    assert (ran.exit_code, ran.stdout) == (1, "It div\n")
    assert ran.stderr == (
        "gateway: the answer reached its limit of tokens: raise --max-tokens, or ask about less\n"
    )


def test_a_rewrite_prints_a_diff_that_git_takes_from_any_folder(
    url: str, project: Path, replica: MockVLLM
) -> None:
    replica.script(Behaviour(text=NEW))
    command = f'"{sys.executable}" -m gateway ai rewrite mean.py:1-2 "no zero" | git apply'
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_URL": url}
    ran = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=project / "src",
        env=environ,
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert (project / "src" / "mean.py").read_bytes() == NEW.encode()


def test_apply_changes_the_file_and_no_other(url: str, project: Path, replica: MockVLLM) -> None:
    file = project / "src" / "mean.py"
    file.chmod(0o755)
    before = {one for one in project.rglob("*") if ".git" not in one.parts}
    replica.script(Behaviour(text=NEW))
    ran = ai("rewrite", "src/mean.py", "no zero", "--apply")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == "gateway: changed src/mean.py: +1 -1 lines\n"
    assert file.read_bytes() == NEW.encode()
    assert file.stat().st_mode & 0o777 == 0o755
    assert {one for one in project.rglob("*") if ".git" not in one.parts} == before


def test_a_file_that_changed_meanwhile_is_left_alone(
    url: str, project: Path, replica: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project / "src" / "mean.py"
    replica.script(Behaviour(text=NEW))
    from gateway.client.assist import AssistClient

    stream = AssistClient.stream

    def meanwhile(self: AssistClient, question: Any) -> Any:
        file.write_text("x = 1\n")
        return stream(self, question)

    monkeypatch.setattr(AssistClient, "stream", meanwhile)
    ran = ai("rewrite", "src/mean.py", "no zero", "--apply")
    assert ran.exit_code == 1
    assert "has changed since it was sent: ask again" in ran.stderr
    assert file.read_text() == "x = 1\n"


@pytest.mark.parametrize("applies", [[], ["--apply"]])
def test_an_answer_that_is_not_certain_changes_nothing(
    url: str, project: Path, replica: MockVLLM, applies: list[str]
) -> None:
    replica.script(Behaviour(text="def mean(xs):\n    # ... existing code ...\n"))
    ran = ai("rewrite", "src/mean.py", "x", *applies)
    assert (ran.exit_code, ran.stdout) == (1, "")
    assert "existing code" in ran.stderr
    assert "--repair" in ran.stderr
    assert (project / "src" / "mean.py").read_bytes() == MEAN.encode()


def test_no_change_is_said_and_is_no_failure(url: str, project: Path, replica: MockVLLM) -> None:
    replica.script(Behaviour(text=MEAN))
    ran = ai("docstring", "src/mean.py")
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert ran.stderr == "gateway: src/mean.py: nothing to change\n"


def test_fix_takes_what_a_compiler_printed(url: str, project: Path, replica: MockVLLM) -> None:
    replica.script(Behaviour(text=NEW))
    said = "src/mean.py:2:12: warning: may divide by zero\nother.py:1: error: no\n"
    ran = ai("fix", "src/mean.py", "--diagnostics", "-", input=said)
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.startswith("diff --git a/src/mean.py b/src/mean.py\n")
    assert "may divide by zero" in asked(replica)
    none = ai("fix", "src/mean.py", "--diagnostics", "-", input="all fine\n")
    assert none.exit_code == 2
    assert "src/mean.py:3:5: error" in none.stderr


def test_a_review_prints_places_as_compilers_do(url: str, project: Path, replica: MockVLLM) -> None:
    finding = {"severity": "error", "category": "bug", "message": "divides by zero"}
    finding |= {"quote": "return sum(xs) / len(xs)", "suggestion": "check first"}
    replica.script(Behaviour(text=orjson.dumps({"summary": "", "findings": [finding]}).decode()))
    ran = ai("review", "src/mean.py")
    assert ran.exit_code == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "src/mean.py:2:5: error: divides by zero [bug]",
        "    check first",
    ]
    replica.script(Behaviour(text="I like it."))
    unclear = ai("review", "src/mean.py")
    assert (unclear.exit_code, unclear.stdout) == (1, "")
    assert "I like it." in unclear.stderr


def test_tests_are_shown_as_a_diff_or_written(url: str, project: Path, replica: MockVLLM) -> None:
    code = "from src.mean import mean\n\n\ndef test_it():\n    assert mean([1]) == 1\n"
    replica.script(Behaviour(text=code))
    ran = ai("tests", "src/mean.py")
    assert ran.exit_code == 0, ran.stderr
    subprocess.run(["git", "apply", "--check"], input=ran.stdout.encode(), check=True)
    assert not (project / "tests").exists()
    assert ai("tests", "src/mean.py", "--apply").exit_code == 0
    assert (project / "tests" / "test_mean.py").read_text() == code
    again = ai("tests", "src/mean.py", "--apply")
    assert again.exit_code == 1
    assert "is there already" in again.stderr
    assert ai("tests", "src/mean.py", "--output", "here/test_a.py").exit_code == 0
    assert (project / "here" / "test_a.py").read_text() == code


def test_a_commit_message_is_about_what_is_staged(
    url: str, project: Path, replica: MockVLLM
) -> None:
    replica.script(Behaviour(text="Add a mean"))
    nothing = ai("commit-message")
    assert nothing.exit_code == 2
    assert "run git add first" in nothing.stderr
    subprocess.run(["git", "add", "src"], check=True)
    ran = ai("commit-message", "--instruction", "name the file")
    assert (ran.exit_code, ran.stdout) == (0, "Add a mean\n")
    assert "+def mean(xs):" in asked(replica)


def test_chat_needs_no_file(url: str, project: Path, replica: MockVLLM) -> None:
    replica.script(Behaviour(text="Hello."))
    assert ai("chat", "Hi").stdout == "Hello.\n"
    assert ai("chat", "-", "--file", "src/mean.py", input="from stdin").stdout == "Hello.\n"
    assert "from stdin" in asked(replica)
    assert "def mean" in asked(replica)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "src/mean.py:1-9"], "src/mean.py, which has 2 lines"),
        (["explain", "nope.py"], "nope.py: No such file"),
        (["explain", "binary"], "is no text"),
        (["explain"], "Missing argument 'FILE[:A-B]'"),
        (["rewrite", "src/mean.py"], "Missing argument 'INSTRUCTION'"),
        (["fix", "src/mean.py"], "--diagnostics"),
        (["chat", "hi", "--timeout", "soon"], "--timeout"),
    ],
)
def test_wrong_use_ends_with_2_and_says_why(
    url: str, project: Path, arguments: list[str], said: str
) -> None:
    (project / "binary").write_bytes(b"\0\1\2")
    ran = ai(*arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert said in ran.stderr


def test_no_gateway_ends_with_3_and_what_to_type(project: Path) -> None:
    ran = ai("explain", "src/mean.py", "--url", f"http://127.0.0.1:{closed_port()}")
    assert (ran.exit_code, ran.stdout) == (3, "")
    assert "start it with: make serve" in ran.stderr


def test_ctrl_c_ends_with_130_and_stops_the_model(
    url: str, project: Path, replica: MockVLLM
) -> None:
    replica.script(Behaviour(tokens=5000, delay_between=0.02))
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "ai", "explain", "src/mean.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell starts what runs in its background deaf to Ctrl-C, and that is inherited.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert (process.returncode, complaints) == (130, b"")
    (received,) = asyncio.run(replica.settled())
    assert received.outcome == "client_left"


def test_a_reader_that_has_enough_is_no_crash(url: str, project: Path, replica: MockVLLM) -> None:
    replica.script(Behaviour(tokens=3000))
    command = f'"{sys.executable}" -m gateway ai explain src/mean.py | head -c 1'
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "GATEWAY_URL": url}
    ran = subprocess.run(
        ["bash", "-c", command], env=environ, capture_output=True, text=True, timeout=60
    )
    assert len(ran.stdout) == 1
    assert "Traceback" not in ran.stderr


def test_help_loads_no_http_client() -> None:
    heavy = {"httpx", "litellm", "fastapi", "gateway.client.questions", "gateway.settings"}
    code = (
        "import sys\nfrom gateway.cli import main\n"
        "try: main(['ai', 'explain', '--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(', '.join({heavy!r} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
