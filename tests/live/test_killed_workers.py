"""Workers and their supervisor are killed under load: the others go on, the dead are replaced,
nobody is left over with the port, and no completed call is lost."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.live.callers import Crowd
from tests.served_command import ServedCommand, served_command, until

pytestmark = [pytest.mark.live, pytest.mark.timeout(600, func_only=True)]

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
OWN = """from gateway import Policy


class Own(Policy):
    class Settings(Policy.Settings):
        pass

    async def before(self, call):
        call.reply_headers["x-own"] = "here"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the gateway runs, with a policy of its own."""
    folder = tmp_path / "gateway"
    for name in ("config", "policies"):
        (folder / name).mkdir(parents=True)
    (folder / "config" / "policies.yaml").write_text("policies: [{use: own}]\n")
    (folder / "policies" / "own.py").write_text(OWN)
    return folder


@contextmanager
def serving(folder: Path, mock: MockVLLM, *options: str) -> Iterator[ServedCommand]:
    """Two workers, of which none outlives this."""
    with served_command(folder, "--workers", "2", *options, VLLM_BASE_URL=mock.base_url) as served:
        known = {*workers(served)}
        try:
            yield served
        finally:
            for pid in known | {*workers(served)}:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


def workers(served: ServedCommand) -> list[int]:
    """Not multiprocessing's own child, which looks after what is shared."""
    return [pid for pid in served.children() if b"spawn_main" in command_of(pid)]


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def alive(pid: int) -> bool:
    """Whether it is a worker that still runs; one that nobody has waited for has no command."""
    return b"spawn_main" in command_of(pid)


def all_serve(served: ServedCommand, *gone: int) -> bool:
    """Two workers, none of them one that is gone, and all of them open."""
    now = workers(served)
    opened = served.printed.count("Application startup complete.")
    return len(now) == 2 and not {*now} & {*gone} and opened >= 2 + len(gone)


def entered(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(folder / "state" / "gateway.db")) as database:
        rows = database.execute("SELECT call_id FROM usage WHERE outcome = 'completed'")
        return Counter(row[0] for row in rows)


def goes_on(crowd: Crowd) -> None:
    before = len(crowd.completed)
    until(lambda: len(crowd.completed) > before + 30, 120, "going on")


def drained(folder: Path) -> bool:
    """Whether nothing waits for the database, of the living or of the dead."""
    return not sum(one.stat().st_size for one in (folder / "state" / "journal").iterdir())


def assert_each_once(crowd: Crowd, folder: Path) -> None:
    until(lambda: drained(folder), 60, "all in the database")
    found = entered(folder)
    assert not {*crowd.completed} - found.keys()
    assert [name for name, count in found.items() if count > 1] == []


def test_a_killed_worker_is_replaced_while_its_sibling_goes_on(
    mock: MockVLLM, folder: Path
) -> None:
    with serving(folder, mock) as served, Crowd(clients=3) as crowd:
        crowd.url = served.url
        for _ in range(2):
            until(lambda: all_serve(served), 60, "two that serve")
            goes_on(crowd)
            first, second = workers(served)
            os.kill(first, signal.SIGKILL)
            goes_on(crowd)
            until(partial(all_serve, served, first), 120, "replaced")
            assert second in workers(served)
        crowd.stop()
        assert not crowd.refused
        assert_each_once(crowd, folder)


def test_one_that_cannot_start_again_takes_no_other_with_it(mock: MockVLLM, folder: Path) -> None:
    policy = folder / "policies" / "own.py"
    with serving(folder, mock) as served:
        until(lambda: all_serve(served), 60, "two that serve")
        policy.write_text("class Own(")
        first, second = workers(served)
        os.kill(first, signal.SIGKILL)
        until(lambda: "has ended (3)" in served.printed, 60, "seen to fail")
        assert alive(second)
        answer = httpx.post(f"{served.url}/v1/chat/completions", json=ASKED, timeout=30)
        assert (answer.status_code, answer.headers["x-own"]) == (200, "here")
        policy.write_text(OWN)
        until(lambda: all_serve(served, first), 120, "replaced")
        assert second in workers(served)


def test_workers_end_with_a_killed_supervisor_and_leave_its_port(
    mock: MockVLLM, folder: Path
) -> None:
    mock.script(Behaviour(tokens=30, delay_between=0.05))
    with serving(folder, mock) as served:
        until(lambda: all_serve(served), 60, "two that serve")
        pids, url = workers(served), f"{served.url}/v1/chat/completions"
        with httpx.stream("POST", url, json={**ASKED, "stream": True}, timeout=60) as answer:
            pieces = answer.iter_text()
            text = next(pieces)
            served.process.kill()
            text += "".join(pieces)
        assert text.endswith("data: [DONE]\n\n")
        until(lambda: not any(map(alive, pids)), 30, "all gone")
        with socket.create_server(("127.0.0.1", httpx.URL(served.url).port or 0)):
            pass  # nobody else listens there


def test_after_the_death_of_all_the_next_has_every_completed_call(
    mock: MockVLLM, folder: Path
) -> None:
    with Crowd(clients=3) as crowd:
        for death in range(3):
            with serving(folder, mock) as served:
                crowd.url = served.url
                goes_on(crowd)
                pids = [served.process.pid, *workers(served)]
                for pid in pids if death % 2 else reversed(pids):
                    os.kill(pid, signal.SIGKILL)
                served.process.wait()
        with serving(folder, mock, "--port", str(httpx.URL(crowd.url).port)) as served:
            goes_on(crowd)
            crowd.stop()
            assert_each_once(crowd, folder)
