"""Gateway and PostgreSQL are killed at random under load: each call that a client saw completed is
in the ledger, once."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.testing.mock_vllm import Behaviour, MockVLLM
from tests.postgres_server import PostgresServer, postgres_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

CLIENTS = 12
DEATHS = 4
PACED = Behaviour(deltas=("word ",) * 5, delay_between=0.01)


class Crowd:
    """Clients that ask all the time, half of them for streams, and note what they saw complete."""

    def __init__(self) -> None:
        self.url = ""
        self.completed: list[str] = []
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            number = next(self._numbers)
            try:
                self._one(f"call-{number}", stream=number % 2 == 0)
            except (httpx.HTTPError, httpx.InvalidURL):
                time.sleep(0.05)  # nobody is there

    def _one(self, name: str, *, stream: bool) -> None:
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        url, headers = f"{self.url}/v1/chat/completions", {"x-request-id": name}
        with httpx.stream("POST", url, json=body, headers=headers, timeout=30) as answer:
            seen = answer.read()
        if answer.status_code == 200 and (not stream or seen.endswith(b"data: [DONE]\n\n")):
            self.completed.append(name)


def entered(server: PostgresServer) -> Counter[str]:
    rows = server.execute("SELECT call_id FROM usage WHERE outcome = 'completed'")
    return Counter(row["call_id"] for row in rows)


def waiting(served: ServedCommand) -> Any:
    state = httpx.get(f"{served.url}/readyz").json()["state"]
    return state["ledger"]["waiting"] if state["database"] == "ok" else "away"


@pytest.fixture
def mock() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m", script=(PACED,)) as running:
        yield running


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_dies_no_completed_call_is_lost_or_counted_twice(
    workers: int,
    mock: MockVLLM,
    postgres: PostgresServer,
    tmp_path: Path,
    progress: Callable[[str], None],
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    chance = random.Random(workers)
    environ = {"VLLM_BASE_URL": mock.base_url, "GATEWAY_STATE__DATABASE_URL": postgres.url}

    with Crowd() as crowd:
        for death in range(DEATHS):
            with served_command(folder, "--workers", str(workers), **environ) as served:
                crowd.url = served.url
                time.sleep(chance.uniform(0.5, 2))
                if death % 2:
                    postgres.kill()
                    time.sleep(chance.uniform(0.1, 2))
                    if chance.random() < 0.5:
                        postgres.start()
                family = [served.process.pid, *served.children()]
                for pid in family:
                    with suppress(ProcessLookupError):
                        _kill(pid)
                served.process.wait()
            with suppress(AssertionError):
                postgres.kill()
            postgres.start()
    with served_command(folder, "--workers", str(workers), **environ) as served:
        until(lambda: waiting(served) == 0, 60, "caught up")
        until(lambda: not list((folder / "state" / "journal").glob("*-*.journal")) or
              all(not file.stat().st_size for file in (folder / "state" / "journal").iterdir()),
              60, "every journal read")  # fmt: skip
    found = entered(postgres)
    progress(f"{len(crowd.completed)} calls seen complete, {len(found)} entered")
    assert len(crowd.completed) > 100
    assert not set(crowd.completed) - found.keys()
    assert [name for name, count in found.items() if count > 1] == []


def _kill(pid: int) -> None:
    import os

    os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(300, func_only=True)
def test_an_older_version_goes_on_beside_a_newer_schema(
    mock: MockVLLM, postgres: PostgresServer, tmp_path: Path
) -> None:
    """A rollout: the first of the new processes has changed the tables already."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    environ = {"VLLM_BASE_URL": mock.base_url, "GATEWAY_STATE__DATABASE_URL": postgres.url}
    crowd = Crowd()
    with served_command(folder, **environ) as served:
        crowd.url = served.url
        crowd._one("before", stream=False)
        until(lambda: entered(postgres)["before"] == 1, 30, "entered")
        postgres.execute(
            "ALTER TABLE usage ADD COLUMN region TEXT NOT NULL DEFAULT ''",
            "CREATE INDEX usage_region ON usage (region)",
            "UPDATE alembic_version SET version_num = '0999'",
        )
        crowd._one("beside", stream=True)
        until(lambda: entered(postgres)["beside"] == 1, 30, "entered")
    with served_command(folder, **environ) as served:
        crowd.url = served.url
        crowd._one("restarted", stream=False)
        until(lambda: entered(postgres)["restarted"] == 1, 30, "entered")
    assert postgres.execute("SELECT version_num FROM alembic_version")[0][0] == "0999"
