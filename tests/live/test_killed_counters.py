"""Gateway, Redis and PostgreSQL are killed at random under load, with budgets in force: the ledger
has each completed call once, and the counters say what the ledger does."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from gateway.adapters.redis_counters import RedisCounters
from gateway.domain.counters import Balance
from gateway.domain.period import Period
from gateway.testing.mock_vllm import MockVLLM
from tests.live.callers import PACED, Crowd
from tests.postgres_server import PostgresServer, postgres_server
from tests.redis_server import RedisServer, redis_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

DEATHS = 5
WIDE, NARROW = 100_000_000, 6_000
MOST_OF_ONE = 64  # what any of these calls reserves, and more than it uses

TEAMS = "".join(
    f"  {team}: {{keys: [{{id: {team}-1, sha256: {hashlib.sha256(team.encode()).hexdigest()}}}]}}\n"
    for team in ("wide", "narrow")
)
POLICIES = f"""policies:
  - use: schema
    with: {{max_tokens: 16}}
  - use: concurrency
    with: {{rules: [{{per: key, calls: 1000}}], when_unavailable: allow}}
  - use: ratelimit
    with: {{rules: [{{per: key, requests: 100000, tokens: 10000000}}], when_unavailable: allow}}
  - use: budget
    with: {{rules: [{{per: team, tokens: {{wide: {WIDE}, default: {NARROW}}}, every: month}}]}}
"""
EMPTY, KEEPING = (), ("--appendonly", "yes")


@dataclass(frozen=True)
class Stores:
    """What keeps counters and ledger, each a real one."""

    redis: RedisServer
    postgres: PostgresServer

    def entered(self) -> Counter[str]:
        """Calls of the ledger that were completed, and how often it has each."""
        rows = self.postgres.execute("SELECT call_id FROM usage WHERE outcome = 'completed'")
        return Counter(row["call_id"] for row in rows)

    def tokens(self, team: str) -> int:
        """What the ledger says that a team has used."""
        said = f"SELECT sum(prompt_tokens + completion_tokens) FROM usage WHERE team = '{team}'"
        return int(self.postgres.execute(said)[0][0] or 0)

    def counted(self, team: str) -> Balance:
        """How its budget stands."""

        async def ask() -> Balance:
            counters = RedisCounters(self.redis.url)
            window = Period.calendar("month", ZoneInfo("UTC"), time.time()).window
            account = f"budget:tokens:month:hard|team={len(team)}:{team}"
            try:
                return await counters.balance(account, WIDE, window)
            finally:
                await counters.aclose()

        return asyncio.run(ask())


@pytest.fixture
def mock() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m", script=(PACED,)) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a gateway with two teams and all that counts is started."""
    (config := tmp_path / "gateway" / "config").mkdir(parents=True)
    (config / "policies.yaml").write_text(POLICIES)
    (config / "teams.yaml").write_text(f"teams:\n{TEAMS}")
    return tmp_path / "gateway"


def ledger_waits(served: ServedCommand) -> bool:
    state = httpx.get(f"{served.url}/readyz").json()["state"]
    return state["database"] != "ok" or state["ledger"]["waiting"] > 0


def shared(served: ServedCommand) -> bool:
    return bool(httpx.get(f"{served.url}/readyz").json()["counters"] == "redis")


def die(stores: Stores, served: ServedCommand, chance: random.Random) -> None:
    """All of them, in some order, and what keeps is there again."""
    victims = [stores.redis.kill, stores.postgres.kill, served.process.kill]
    for kill in chance.sample(victims, 3):
        kill()
        time.sleep(chance.uniform(0, 1))
        if chance.random() < 0.5:  # it comes back while the gateway lives, or may
            stores.redis.kill()
            stores.redis.start()
            time.sleep(chance.uniform(0, 0.5))
    served.process.wait()
    stores.redis.kill()
    stores.redis.start()
    stores.postgres.kill()
    stores.postgres.start()


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.parametrize("options", [EMPTY, KEEPING], ids=["empty", "as it was"])
def test_whoever_dies_ledger_and_counters_agree(
    options: tuple[str, ...],
    mock: MockVLLM,
    folder: Path,
    progress: Callable[[str], None],
) -> None:
    chance = random.Random(len(options))
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(*options))
        postgres = stack.enter_context(postgres_server())
        stores = Stores(redis, postgres)
        environ = {
            "VLLM_BASE_URL": mock.base_url,
            "GATEWAY_STATE__DATABASE_URL": postgres.url,
            "GATEWAY_STATE__REDIS_URL": redis.url,
        }
        wide = stack.enter_context(Crowd("wide"))
        narrow = stack.enter_context(Crowd("narrow"))
        for _ in range(DEATHS):
            with served_command(folder, **environ) as served:
                wide.url = narrow.url = served.url
                time.sleep(chance.uniform(1, 2))
                die(stores, served, chance)
        last = stack.enter_context(served_command(folder, **environ))
        wide.url = narrow.url = last.url
        before = len(wide.completed)
        until(lambda: len(wide.completed) > before + 20, 60, "goes on")
        wide.stop()
        narrow.stop()
        until(lambda: not ledger_waits(last) and shared(last), 60, "caught up")
        journals = folder / "state" / "journal"
        until(lambda: not sum(one.stat().st_size for one in journals.iterdir()), 60, "all read")
        found, seen = stores.entered(), {*wide.completed, *narrow.completed}
        used = {team: stores.tokens(team) for team in ("wide", "narrow")}
        sums = {team: stores.counted(team) for team in ("wide", "narrow")}
        progress(f"{len(seen)} seen complete, {found.total()} entered; {used}; {sums}")
        progress(f"refused: {wide.refused} {narrow.refused}; slowest {wide.slowest:.1f} s")
        assert len(seen) > 50
        assert not seen - found.keys()
        assert [name for name, count in found.items() if count > 1] == []
