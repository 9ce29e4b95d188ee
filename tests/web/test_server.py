"""Serving for real: a process of its own, its workers, its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.domain.document import ConfigError
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.web.server import own_version, serve

ASKED = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@contextmanager
def served(
    folder: Path, mock: MockVLLM, *options: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`gateway serve` in front of `mock`; its stderr is read when it has ended."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port), *options]
    environ = {**os.environ, "VLLM_BASE_URL": mock.base_url}
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=folder, env=environ, stderr=out, text=True)
    try:
        ends = time.monotonic() + 60
        while not _ready(port):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < ends, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_sigterm_lets_a_running_stream_finish_and_exits_with_0(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(tokens=12, delay_between=0.05))
    with served(tmp_path, mock_vllm) as (url, process):
        stream = httpx.stream("POST", f"{url}/v1/chat/completions", json={**ASKED, "stream": True})
        with stream as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            process.send_signal(signal.SIGTERM)
            text += "".join(pieces)
        assert text.endswith("data: [DONE]\n\n")
        assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert f"Serving on {url}" in log
    assert "Models: mock" in log
    assert '"outcome":"completed"' in log


def test_two_workers_share_a_socket_count_together_and_end_together(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    with served(tmp_path, mock_vllm, "--workers", "2") as (url, process):
        for _ in range(8):
            answer = httpx.post(f"{url}/v1/chat/completions", json=ASKED)
            assert answer.status_code == 200
        labels = 'model="mock",outcome="completed",route="/v1/chat/completions",team="anonymous"'
        counted = f"gw_requests_total{{{labels}}} 8.0"
        assert counted in httpx.get(f"{url}/metrics").text
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert children
    ends = time.monotonic() + 10
    while alive := [pid for pid in children if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < ends, alive
        time.sleep(0.02)


def test_a_port_in_use_is_one_problem_and_nothing_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="cannot listen"):
            serve(Settings(server={"port": port}))  # type: ignore[arg-type]


def test_what_check_refuses_is_not_served() -> None:
    with pytest.raises(ConfigError, match="can be reached from other machines"):
        serve(Settings(server={"host": "0.0.0.0"}))  # type: ignore[arg-type]


def test_the_version_is_the_installed_packages() -> None:
    assert own_version()[0].isdigit()
