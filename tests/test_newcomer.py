"""What a newcomer does: `gateway serve` with nothing configured, then the lines that it prints."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

pytestmark = pytest.mark.embedded


@dataclass(frozen=True)
class Served:
    """A running gateway, and what it has printed so far."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def curls(self) -> list[list[str]]:
        lines = self.log.read_text().splitlines()
        return [shlex.split(line) for line in lines if line.startswith("  curl ")]

    def children(self) -> list[str]:
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [child for task in tasks for child in task.read_text().split()]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("empty")
    log = tmp_path_factory.mktemp("log") / "gateway.log"
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("VLLM_", "GATEWAY_"))}
    with log.open("w") as out:
        command = [sys.executable, "-m", "gateway", "serve", "--port", str(port)]
        process = subprocess.Popen(command, cwd=folder, env=clean, stderr=out, stdout=out)
    found = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        ends = time.monotonic() + 90
        while not found.curls:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        yield found
        # Ctrl-C ends it in order, and leaves no child.
        children = found.children()
        assert children
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    finally:
        process.kill()
        process.wait()


def typed(line: list[str]) -> str:
    """What a line of the banner gives; without curl here, its request is sent as it is."""
    if shutil.which("curl"):
        return subprocess.run(line, check=True, capture_output=True, timeout=110).stdout.decode()
    url, body = line[2], line[line.index("-d") + 1]
    return httpx.post(
        url, content=body, headers={"content-type": "application/json"}, timeout=110
    ).text


def test_the_printed_chat_line_streams_a_real_answer(served: Served) -> None:
    text = typed(served.curls[0])
    assert text.endswith("data: [DONE]\n\n")
    events = [json.loads(e.removeprefix("data: ")) for e in text.strip().split("\n\n")[:-1]]
    assert "".join(e["choices"][0]["delta"].get("content") or "" for e in events).strip()


def test_the_printed_explain_line_explains(served: Served) -> None:
    said = json.loads(typed(served.curls[1]))
    assert len(said["explanation"]) > 20
    assert said["context"]["used"] == said["usage"]["prompt_tokens"]
    assert said["context"]["exact"] is True


def test_a_rewrite_is_a_diff_that_git_applies(served: Served, tmp_path: Path) -> None:
    content = "def mean(xs):\r\n    return sum(xs) / len(xs)\r\n"
    body = {
        "file": {"path": "mean.py", "content": content},
        "instruction": "Return 0 if the list is empty.",
    }
    said = httpx.post(f"{served.url}/api/ai/rewrite", json=body, timeout=110).json()
    assert said["status"] in ("changed", "no_change", "truncated", "unresolved")
    if said["status"] == "changed":
        (tmp_path / "mean.py").write_bytes(content.encode())
        subprocess.run(["git", "apply", "-"], input=said["diff"].encode(), cwd=tmp_path, check=True)
        assert b"\r\n" in (tmp_path / "mean.py").read_bytes()


def test_openais_client_works_errors_included(served: Served) -> None:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as api:
        (model,) = (row.id for row in api.models.list())
        asked: Any = {"model": model, "messages": [{"role": "user", "content": "Say hello."}]}
        answer = api.chat.completions.create(**asked, max_tokens=8)
        assert answer.choices[0].message.content
        assert answer.usage is not None
        assert api.completions.create(model=model, prompt="def add(", max_tokens=4).choices[0].text
        near = api.embeddings.create(model=model, input=["a cat", "a kitten"])
        assert len(near.data) == 2
        with pytest.raises(openai.BadRequestError) as caught:
            api.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "word " * 9000}]
            )
        assert caught.value.code == "context_length_exceeded"
