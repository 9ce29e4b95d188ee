"""Gateway and PostgreSQL are killed at random under load: each call that a client saw completed is
in the ledger, once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.testing.mock_vllm import MockVLLM
from tests.live.callers import Crowd, completed_in
from tests.postgres_server import PostgresServer, postgres_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

DEATHS = 4


def waiting(served: ServedCommand) -> Any:
    state = httpx.get(f"{served.url}/readyz").json()["state"]
    return state["ledger"]["waiting"] if state["database"] == "ok" else "away"


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.parametrize("heir", ["the next one", "one beside it"])
def test_whoever_dies_no_completed_call_is_lost_or_counted_twice(
    heir: str,
    mock: MockVLLM,
    postgres: PostgresServer,
    tmp_path: Path,
    progress: Callable[[str], None],
) -> None:
    chance, state = random.Random(heir), tmp_path / "state"
    environ = {
        "VLLM_BASE_URL": mock.base_url,
        "GATEWAY_STATE__DATABASE_URL": postgres.url,
        "GATEWAY_STATE__FOLDER": str(state),
    }

    def serving(name: str) -> AbstractContextManager[ServedCommand]:
        (folder := tmp_path / name).mkdir(exist_ok=True)
        return served_command(folder, **environ)

    with ExitStack() as stack, Crowd() as crowd:
        beside = stack.enter_context(serving("beside")) if heir == "one beside it" else None
        for death in range(DEATHS):
            with serving("mortal") as served:
                crowd.url = served.url
                time.sleep(chance.uniform(0.5, 2))
                if death % 2:
                    postgres.kill()
                    time.sleep(chance.uniform(0.1, 2))
                served.process.kill()
                served.process.wait()
            postgres.kill()
            postgres.start()
        last = beside or stack.enter_context(serving("mortal"))
        crowd.stop()
        until(lambda: waiting(last) == 0, 60, "caught up")
        journals = state / "journal"
        until(lambda: not sum(one.stat().st_size for one in journals.iterdir()), 60, "all read")
    found = completed_in(postgres)
    progress(f"{len(crowd.completed)} calls seen complete, {len(found)} entered")
    assert len(crowd.completed) > 50
    assert not set(crowd.completed) - found.keys()
    assert [name for name, count in found.items() if count > 1] == []


@pytest.mark.timeout(300, func_only=True)
def test_an_older_version_goes_on_beside_a_newer_schema(
    mock: MockVLLM, postgres: PostgresServer, tmp_path: Path
) -> None:
    """A rollout: the first of the new processes has changed the tables already."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    environ = {"VLLM_BASE_URL": mock.base_url, "GATEWAY_STATE__DATABASE_URL": postgres.url}
    crowd, http = Crowd(), httpx.Client(timeout=30)
    with http, served_command(folder, **environ) as served:
        crowd.url = served.url
        crowd.one(http, "before", stream=False)
        until(lambda: completed_in(postgres)["before"] == 1, 30, "entered")
        postgres.execute(
            "ALTER TABLE usage ADD COLUMN region TEXT NOT NULL DEFAULT ''",
            "CREATE INDEX usage_region ON usage (region)",
            "UPDATE alembic_version SET version_num = '0999'",
        )
        crowd.one(http, "beside", stream=True)
        until(lambda: completed_in(postgres)["beside"] == 1, 30, "entered")
    with httpx.Client(timeout=30) as http, served_command(folder, **environ) as served:
        crowd.url = served.url
        crowd.one(http, "restarted", stream=False)
        until(lambda: completed_in(postgres)["restarted"] == 1, 30, "entered")
    assert postgres.execute("SELECT version_num FROM alembic_version")[0][0] == "0999"
