"""The handle on a mock process: orders, waiting, and a process that can be killed and frozen."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)

ROOT = Path(__file__).parents[2]
BODY = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}


def ask(mock: MockVLLM, timeout: float = 5) -> httpx.Response:
    with httpx.Client(trust_env=False, verify=False, timeout=timeout) as client:
        return client.post(f"{mock.base_url}/chat/completions", json=BODY)


def connect(mock: MockVLLM) -> socket.socket:
    return socket.create_connection(("127.0.0.1", mock.port), timeout=5)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_is_up_by_the_time_it_is_started_and_gone_after_the_block() -> None:
    with MockVLLM.start(model="m") as mock:
        assert mock.base_url == f"http://127.0.0.1:{mock.port}/v1"
        assert httpx.get(f"{mock.url}/health", trust_env=False, verify=False).status_code == 200
        pid = mock.pid
    assert gone(pid)
    assert not mock.alive
    mock.stop()


def test_it_starts_in_well_below_a_third_of_a_second_of_cpu() -> None:
    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    took = []
    for _ in range(3):
        before = spent()
        MockVLLM.start().stop()
        took.append(spent() - before)
    assert min(took) < 0.3


def test_a_taken_port_is_a_clear_error(
    mock_vllm: MockVLLM, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="the mock ended; see its standard error"):
        MockVLLM.start(port=mock_vllm.port)
    assert f"cannot listen on 127.0.0.1:{mock_vllm.port}" in capfd.readouterr().err


def test_the_port_is_not_one_that_the_kernel_gives_to_others(mock_vllm: MockVLLM) -> None:
    assert mock_vllm.port < 32_000


def test_it_dies_with_the_process_that_started_it() -> None:
    program = (
        "import os\n"
        "from gateway.testing.mock_vllm import MockVLLM\n"
        "print(MockVLLM.start().pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    pid = int(parent.stdout)
    deadline = time.monotonic() + 5
    # Its new parent may be slow to take note of its death: a zombie is dead enough.
    while not gone(pid) and state(pid) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except FileNotFoundError:
        return "Z"


def test_a_behaviour_can_be_given_as_json_and_a_wrong_one_fails_at_once(
    mock_vllm: MockVLLM,
) -> None:
    mock_vllm.script({"status": 418})
    assert ask(mock_vllm).status_code == 418
    with pytest.raises(ValueError, match="did you mean 'status'"):
        mock_vllm.script({"stats": 418})


def test_no_behaviour_at_all_is_healthy_again(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(status=500))
    mock_vllm.script()
    assert ask(mock_vllm).status_code == 200


def test_a_behaviour_of_ten_megabytes_arrives(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(deltas=("a" * 10_000_000,)))
    content = ask(mock_vllm).json()["choices"][0]["message"]["content"]
    assert len(content) == 10_000_000


def test_requests_can_be_of_one_path(mock_vllm: MockVLLM) -> None:
    httpx.get(f"{mock_vllm.url}/health", trust_env=False, verify=False)
    ask(mock_vllm)
    assert [seen.path for seen in mock_vllm.requests()] == ["/health", "/v1/chat/completions"]
    assert [seen.path for seen in mock_vllm.requests("/health")] == ["/health"]


async def test_waiting_ends_when_as_many_have_arrived_and_settled(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(delay_headers=0.05))
    asking = [asyncio.create_task(asyncio.to_thread(ask, mock_vllm)) for _ in range(2)]
    assert len(await mock_vllm.arrived(2)) == 2
    assert [seen.outcome for seen in await mock_vllm.settled(2)] == ["completed"] * 2
    await asyncio.gather(*asking)


async def test_waiting_in_vain_says_what_there_was(mock_vllm: MockVLLM) -> None:
    await asyncio.to_thread(ask, mock_vllm)
    with pytest.raises(TimeoutError, match=r"1 of 2 requests have settled within 0.01 s: {'/v1/ch"):
        await mock_vllm.settled(2, within=0.01)
    with pytest.raises(TimeoutError, match="0 of 1 requests have arrived"):
        await mock_vllm.arrived(path="/health", within=0.01)


def test_it_refuses_connections_until_it_accepts_again(mock_vllm: MockVLLM) -> None:
    for _ in range(2):
        mock_vllm.refuse()
        mock_vllm.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(mock_vllm)
        mock_vllm.accept()
        mock_vllm.accept()
        assert ask(mock_vllm).status_code == 200


def test_refusing_closes_idle_connections_and_lets_running_ones_end(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(delay_headers=0.1, body="late"))
    with connect(mock_vllm) as idle, connect(mock_vllm) as busy:
        busy.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while not mock_vllm.requests():
            time.sleep(0.002)
        mock_vllm.refuse()
        assert idle.recv(1) == b""
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_reset_ends_hanging_connections_and_refusal(mock_vllm: MockVLLM) -> None:
    mock_vllm.script(Behaviour(before_headers="hang"))
    with connect(mock_vllm) as plug:
        plug.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while not mock_vllm.requests():
            time.sleep(0.002)
        mock_vllm.refuse(60)
        mock_vllm.reset()
        with pytest.raises(ConnectionResetError):
            plug.recv(1)
    assert mock_vllm.requests() == []
    assert ask(mock_vllm).status_code == 200


def test_killed_it_breaks_connections_and_restarts_on_its_port(mock_vllm: MockVLLM) -> None:
    port = mock_vllm.port
    mock_vllm.script(Behaviour(stall_after=1))
    with connect(mock_vllm) as plug:
        plug.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        while not mock_vllm.requests():
            time.sleep(0.002)
        mock_vllm.kill()
        while plug.recv(65536):
            pass
    with pytest.raises(ConnectionRefusedError):
        connect(mock_vllm)
    with pytest.raises(RuntimeError, match=r"not running; restart\(\)"):
        mock_vllm.requests()
    mock_vllm.restart()
    assert mock_vllm.port == port
    assert ask(mock_vllm).status_code == 200


def test_what_it_was_started_with_holds_from_the_first_request_and_after_a_restart() -> None:
    with MockVLLM.start(script=[Behaviour(status=429), Behaviour(echo=True)]) as mock:
        for _ in range(2):
            assert ask(mock).status_code == 429
            assert ask(mock).json()["choices"][0]["message"]["content"] == "hi"
            mock.restart()


def test_frozen_it_takes_connections_and_answers_nobody_until_it_thaws(
    mock_vllm: MockVLLM,
) -> None:
    mock_vllm.freeze()
    with pytest.raises(httpx.ReadTimeout):
        ask(mock_vllm, timeout=0.1)
    mock_vllm.thaw()
    assert ask(mock_vllm).status_code == 200


@pytest.mark.parametrize("harm", ["kill", "freeze", "refuse"])
def test_renewed_it_works_whatever_was_done_to_it(mock_vllm: MockVLLM, harm: str) -> None:
    mock_vllm.script(Behaviour(status=500))
    getattr(mock_vllm, harm)()
    mock_vllm.renew()
    assert ask(mock_vllm).status_code == 200
    assert len(mock_vllm.requests()) == 1


def test_orders_from_many_threads_do_not_mix(mock_vllm: MockVLLM) -> None:
    ask(mock_vllm)
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: len(mock_vllm.requests()), range(200)))
    assert counts == [1] * 200
