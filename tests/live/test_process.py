"""The process that serves: its signals, its workers, its limits, its idle connections."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.served_command import ServedCommand, served_command
from tests.served_command import until as until_within

pytestmark = pytest.mark.live

ASKED = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the gateway runs; its log is beside it."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    return folder


def served(
    folder: Path, mock: MockVLLM, *options: str, **environ: str
) -> AbstractContextManager[ServedCommand]:
    """`gateway serve` in front of `mock`."""
    return served_command(folder, *options, VLLM_BASE_URL=mock.base_url, **environ)


def name(folder: Path, mock: MockVLLM, *models: str) -> None:
    rows = [
        f"  - model_name: {model}\n    litellm_params: "
        f"{{model: hosted_vllm/mock, api_base: '{mock.base_url}'}}\n"
        for model in models
    ]
    (folder / "litellm_config.yaml").write_text("model_list:\n" + "".join(rows))


def until(true: Callable[[], object]) -> None:
    until_within(lambda: bool(true()), 30, "so")


def test_sighup_reloads_and_sigterm_refuses_what_is_new_while_the_rest_finishes(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    name(folder, mock_vllm, "mock")
    mock_vllm.script(Behaviour(tokens=20, delay_between=0.1))
    with served(folder, mock_vllm, GATEWAY_RELOAD__WATCH="false") as command:
        url, process = command.url, command.process
        name(folder, mock_vllm, "mock", "another")
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
    log = command.printed
    assert f"Serving on {url}" in log
    assert "Models: mock" in log
    assert '"outcome":"completed"' in log


def test_a_second_sigterm_cuts_what_runs_and_lets_its_replica_go(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    mock_vllm.script(Behaviour(tokens=600, delay_between=0.1))
    with served(folder, mock_vllm) as command:
        url, process = command.url, command.process
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
    assert "Traceback" not in command.printed
    (asked,) = mock_vllm.requests("/v1/chat/completions")
    assert asked.outcome == "client_left"


def test_workers_share_a_socket_count_together_reload_together_and_end_together(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    name(folder, mock_vllm, "mock")
    quiet = {"GATEWAY_RELOAD__WATCH": "false"}

    def info(url: str) -> dict[str, float]:
        """How many workers run with each configuration: every one tells for itself."""
        found: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(httpx.get(f"{url}/metrics").text):
            for one in family.samples if family.name == "gw_config_info" else ():
                found[one.labels["sha"]] += one.value
        return {sha: count for sha, count in found.items() if count}

    with served(folder, mock_vllm, "--workers", "2", **quiet) as command:
        url, process = command.url, command.process
        until(lambda: list(info(url).values()) == [2.0])
        (old,) = info(url)
        tasks = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        before = tasks.read_text()
        name(folder, mock_vllm, "renamed")
        process.send_signal(signal.SIGHUP)
        until(lambda: old not in info(url) and list(info(url).values()) == [2.0])
        assert tasks.read_text() == before, "they are the same processes"
        for _ in range(8):
            asked = {**ASKED, "model": "renamed"}
            assert (
                httpx.post(f"{url}/v1/chat/completions", json=asked, timeout=60).status_code == 200
            )
        done = {"model": "renamed", "outcome": "completed", "route": "/v1/chat/completions"}
        assert command.metric("gw_requests_total", **done) == 8
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    until(lambda: not [pid for pid in before.split() if Path(f"/proc/{pid}").exists()])
    assert "Traceback" not in command.printed


def test_a_low_limit_of_open_files_is_raised_as_far_as_it_may_be(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard // 2, hard))
    try:
        with served(folder, mock_vllm) as command:
            limits = Path(f"/proc/{command.process.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (row,) = [line.split() for line in limits.splitlines() if line.startswith("Max open files")]
    assert row[3:5] == [str(hard)] * 2


def test_a_connection_lies_idle_for_longer_than_clients_keep_theirs(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    """httpx, and so OpenAI's client, gives its own up after five seconds: a server that does so
    too closes some just as they are used again."""
    with served(folder, mock_vllm) as command:
        address = command.url.removeprefix("http://")
        with closing(HTTPConnection(address, timeout=10)) as connection:
            for wait in (0.0, 6.0):
                time.sleep(wait)
                connection.request("GET", "/healthz")
                assert connection.getresponse().read() == b"ok\n"


def test_what_goes_on_in_all_workers_and_what_became_of_their_calls_is_told_by_any_of_them(
    folder: Path, mock_vllm: MockVLLM
) -> None:
    name(folder, mock_vllm, "mock")
    with served(folder, mock_vllm, "--workers", "2") as command:
        url = command.url
        until(lambda: len(live(url)["workers"]) == 2)
        for number in range(20):  # each over a connection of its own, so that both get some
            headers = {"x-request-id": f"r{number}"}
            answer = httpx.post(f"{url}/v1/chat/completions", json=ASKED, headers=headers)
            assert answer.status_code == 200
        until(lambda: sum(one["counts"]["requests"] for one in live(url)["workers"]) == 20)
        for number in range(20):
            assert httpx.get(f"{url}/requests/r{number}").status_code == 200
        assert live(url)["silent"] == 0
        asked = [sys.executable, "-m", "gateway", "top", "--once", "--url", url]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert ", 2 workers\n" in told
        (killed, *_) = (one["pid"] for one in live(url)["workers"])
        os.kill(killed, signal.SIGKILL)
        until(lambda: live(url)["silent"] == 1)
        until(lambda: killed not in [one["pid"] for one in live(url)["workers"]])
        until(lambda: live(url)["silent"] == 0)


def live(url: str) -> dict[str, Any]:
    with suppress(httpx.TransportError):  # asked of the worker that is being killed
        told: dict[str, Any] = httpx.get(f"{url}/admin/live").json()
        return told
    return {"workers": [], "silent": 0}
