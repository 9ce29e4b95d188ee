"""The mock takes orders over HTTP, shows its load, and runs by hand."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)

ROOT = Path(__file__).parents[2]
BODY = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def client(mock_vllm: MockVLLM) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=mock_vllm.url, trust_env=False, verify=False) as client:
        yield client


def ask(client: httpx.Client) -> httpx.Response:
    return client.post("/v1/chat/completions", json=BODY)


def gauges(client: httpx.Client) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if line[0] != "#"]
    return {line.partition("{")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.mark.parametrize(
    "script", [[{"status": 500}, {}], {"behaviours": [{"status": 500}, {}]}], ids=["list", "object"]
)
def test_a_script_can_be_posted(client: httpx.Client, script: Any) -> None:
    assert client.post("/mock/script", json=script).status_code == 200
    assert [ask(client).status_code for _ in range(3)] == [500, 200, 200]


def test_what_was_received_can_be_read(client: httpx.Client) -> None:
    began = time.monotonic()
    client.headers["X-Request-Id"] = "abc"
    ask(client)
    client.post("/v1/completions?a=b", content=b"no json")
    first, second = client.get("/mock/requests").json()
    assert (first["method"], first["path"]) == ("POST", "/v1/chat/completions")
    assert (first["body"], first["headers"]["x-request-id"]) == (BODY, "abc")
    assert (first["outcome"], first["chunks_sent"]) == ("completed", 2)
    assert began <= first["arrived"] <= first["ended"] <= second["arrived"] <= time.monotonic()
    assert (second["number"], second["query"], second["body"]) == (1, "a=b", "no json")


def test_orders_are_not_among_the_requests(client: httpx.Client) -> None:
    client.post("/mock/script", json=[])
    assert client.get("/mock/requests").json() == []


def test_a_reset_forgets_everything_and_answers_on_its_own_connection(
    client: httpx.Client,
) -> None:
    client.post("/mock/script", json=[{"status": 500}])
    client.post("/mock/load", json={"waiting": 3})
    assert ask(client).status_code == 500
    assert client.post("/mock/reset").status_code == 200
    assert client.get("/mock/requests").json() == []
    assert ask(client).status_code == 200
    assert gauges(client)["vllm:num_requests_waiting"] == 0


@pytest.mark.parametrize(
    ("verb", "given", "says"),
    [
        ("script", [{"stauts": 1}], "did you mean 'status'"),
        ("dance", {}, "no order 'dance'; known: script"),
        ("load", {"waiting": "many"}, "many"),
        ("script", {"behaviours": 3}, "not iterable"),
    ],
)
def test_an_order_that_makes_no_sense_says_why(
    client: httpx.Client, verb: str, given: Any, says: str
) -> None:
    answer = client.post(f"/mock/{verb}", json=given)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_refusing_can_end_by_itself(mock_vllm: MockVLLM, client: httpx.Client) -> None:
    began = time.monotonic()
    client.post("/mock/refuse", json={"seconds": 0.2})
    while True:
        try:
            socket.create_connection(("127.0.0.1", mock_vllm.port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            break
    assert time.monotonic() - began >= 0.2


def test_metrics_are_zero_until_told_otherwise(mock_vllm: MockVLLM, client: httpx.Client) -> None:
    names = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
    assert gauges(client) == {f"vllm:{name}": 0 for name in names}
    mock_vllm.load(waiting=4, kv_cache_usage=0.75)
    assert list(gauges(client).values()) == [0, 4, 0.75]
    mock_vllm.load()
    assert list(gauges(client).values()) == [0, 0, 0]


def test_a_running_request_shows_in_the_metrics(mock_vllm: MockVLLM, client: httpx.Client) -> None:
    mock_vllm.script(Behaviour(stall_after=1))
    body = BODY | {"stream": True}
    with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        with httpx.Client(base_url=mock_vllm.url, trust_env=False, verify=False) as other:
            assert gauges(other)["vllm:num_requests_running"] == 1
            mock_vllm.load(running=9)
            assert gauges(other)["vllm:num_requests_running"] == 9


def test_paths_that_generate_nothing_can_be_scripted_by_name(
    mock_vllm: MockVLLM, client: httpx.Client
) -> None:
    mock_vllm.script(
        Behaviour(path="/health", status=503),
        Behaviour(path="/metrics", body="nonsense", content_type="text/plain"),
        Behaviour(path="/v1/rerank", body='{"results": []}'),
    )
    assert client.get("/health").status_code == 503
    assert client.get("/metrics").text == "nonsense"
    assert client.post("/v1/rerank", json={}).json() == {"results": []}
    assert ask(client).status_code == 200


@pytest.fixture
def by_hand() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "gateway.testing.mock_vllm", "--port", "0", "--model", "m"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_by_hand_without_a_standard_input_until_a_signal(
    by_hand: subprocess.Popen[str], end: signal.Signals
) -> None:
    assert by_hand.stdout is not None
    told = json.loads(by_hand.stdout.readline())
    assert told["pid"] == by_hand.pid
    models = httpx.get(f"{told['url']}/v1/models", trust_env=False, verify=False).json()["data"]
    assert models[0]["id"] == "m"
    os.kill(by_hand.pid, end)
    assert by_hand.wait(5) == -end
