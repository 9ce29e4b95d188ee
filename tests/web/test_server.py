"""Serving for real: a process of its own, its workers, its end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
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
    folder: Path, mock: MockVLLM, *options: str, **environ: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`gateway serve` in front of `mock`; its stderr is read when it has ended."""
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port), *options]
    environ = {**os.environ, "VLLM_BASE_URL": mock.base_url, **environ}
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


def name(folder: Path, mock: MockVLLM, *models: str) -> None:
    rows = [
        f"  - model_name: {model}\n    litellm_params: "
        f"{{model: hosted_vllm/mock, api_base: '{mock.base_url}'}}\n"
        for model in models
    ]
    (folder / "litellm_config.yaml").write_text("model_list:\n" + "".join(rows))


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_sighup_reloads_and_sigterm_refuses_what_is_new_while_the_rest_finishes(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    name(tmp_path, mock_vllm, "mock")
    mock_vllm.script(Behaviour(tokens=20, delay_between=0.1))
    with served(tmp_path, mock_vllm, GATEWAY_RELOAD__WATCH="false") as (url, process):
        name(tmp_path, mock_vllm, "mock", "another")
        process.send_signal(signal.SIGHUP)
        until(lambda: "another" in httpx.get(f"{url}/readyz").json()["models"])
        stream = httpx.stream(
            "POST", f"{url}/v1/chat/completions", json={**ASKED, "stream": True}, timeout=60
        )
        with stream as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
            assert httpx.get(f"{url}/readyz").json()["reason"] == "shutting down"
            new = httpx.post(f"{url}/v1/chat/completions", json=ASKED)
            assert (new.status_code, new.headers["retry-after"]) == (503, "1")
            assert new.json()["error"]["code"] == "shutting_down"
            text += "".join(pieces)
        assert text.endswith("data: [DONE]\n\n")
        assert process.wait(30) == 0
    log = (tmp_path / "log").read_text()
    assert f"Serving on {url}" in log
    assert "Models: mock" in log
    assert '"outcome":"completed"' in log


def test_a_second_sigterm_cuts_what_runs_and_lets_its_replica_go(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(tokens=600, delay_between=0.1))
    with served(tmp_path, mock_vllm) as (url, process):
        stream = httpx.stream(
            "POST", f"{url}/v1/chat/completions", json={**ASKED, "stream": True}, timeout=60
        )
        with stream as answer:
            pieces = answer.iter_text()
            next(pieces)
            process.send_signal(signal.SIGTERM)
            until(lambda: httpx.get(f"{url}/readyz").status_code == 503)
            process.send_signal(signal.SIGTERM)
            text = "".join(pieces)
        assert "event: error" in text
        assert "shutting_down" in text
        assert "[DONE]" not in text
        assert process.wait(20) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()
    (asked,) = mock_vllm.requests("/v1/chat/completions")
    assert asked.outcome == "client_left"


def test_workers_share_a_socket_count_together_reload_together_and_end_together(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    name(tmp_path, mock_vllm, "mock")
    quiet = {"GATEWAY_RELOAD__WATCH": "false"}

    def info(url: str) -> dict[str, float]:
        lines = httpx.get(f"{url}/metrics").text.splitlines()
        found = [line.rsplit(" ", 1) for line in lines if line.startswith("gw_config_info{")]
        return {labels: float(value) for labels, value in found if float(value)}

    with served(tmp_path, mock_vllm, "--workers", "2", **quiet) as (url, process):
        until(lambda: list(info(url).values()) == [2.0])
        (old,) = info(url)
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = tasks.read_text()
        name(tmp_path, mock_vllm, "renamed")
        process.send_signal(signal.SIGHUP)
        until(lambda: old not in info(url) and list(info(url).values()) == [2.0])
        assert tasks.read_text() == before, "they are the same processes"
        for _ in range(8):
            asked = {**ASKED, "model": "renamed"}
            assert (
                httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=60).status_code == 200
            )
        labels = 'model="renamed",outcome="completed",route="/v1/chat/completions",team="anonymous"'
        assert f"gw_requests_total{{{labels}}} 8.0" in httpx.get(f"{url}/metrics").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    until(lambda: not [pid for pid in before.split() if Path(f"/proc/{pid}").exists()])
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may_be(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))
    try:
        with served(tmp_path, mock_vllm) as (_, process):
            limits = Path(f"/proc/{process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (row,) = [line.split() for line in limits.splitlines() if line.startswith("Max open files")]
    assert row[3:5] == [str(hard)] * 2


def test_a_connection_lies_idle_for_longer_than_clients_keep_theirs(
    tmp_path: Path, mock_vllm: MockVLLM
) -> None:
    """httpx, and so OpenAI's client, gives its own up after five seconds: a server that does so
    too closes some just as they are used again."""
    with served(tmp_path, mock_vllm) as (url, _):
        address = url.removeprefix("http://")
        with closing(HTTPConnection(address, timeout=10)) as connection:
            for wait in (0.0, 6.0):
                time.sleep(wait)
                connection.request("GET", "/healthz")
                assert connection.getresponse().read() == b"ok\n"


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
