"""Gateway, Redis and PostgreSQL are killed at random under load, with budgets in force: the ledger
has each completed call once, and the counters say what the ledger does."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from gateway.adapters.redis_counters import RedisCounters
from gateway.domain.period import Period
from gateway.testing.mock_vllm import MockVLLM
from tests.live.callers import CLIENTS, Crowd, completed_in
from tests.postgres_server import PostgresServer, postgres_server
from tests.redis_server import RedisServer, redis_server
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

DEATHS = 5
WIDE, NARROW = 100_000_000, 1_500
TOKENS = 9  # of each call

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

    def used(self) -> dict[str, int]:
        """The tokens of each team, by the ledger."""
        tokens = "sum(prompt_tokens + completion_tokens) AS tokens"
        rows = self.postgres.execute(f"SELECT team, {tokens} FROM usage GROUP BY team")
        return {row["team"]: int(row["tokens"]) for row in rows}

    def counted(self) -> dict[str, int]:
        """The tokens of each team, by the counters of its budget."""

        async def ask() -> dict[str, int]:
            counters = RedisCounters(self.redis.url)
            window = Period.calendar("month", ZoneInfo("UTC"), time.time()).window
            found = {}
            try:
                for team in ("wide", "narrow"):
                    account = f"budget:tokens:month:hard|team={len(team)}:{team}"
                    found[team] = (await counters.balance(account, WIDE, window)).used
            finally:
                await counters.aclose()
            return found

        return asyncio.run(ask())


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
        found, seen = completed_in(stores.postgres), {*wide.completed, *narrow.completed}
        used, sums = stores.used(), stores.counted()
        progress(
            f"{len(seen)} seen complete, {found.total()} entered; ledger {used}, counted {sums}"
        )
        progress(f"refused: {wide.refused} {narrow.refused}; slowest {wide.slowest:.1f} s")
        assert len(seen) > 50
        assert not seen - found.keys()
        assert [name for name, count in found.items() if count > 1] == []
        # What was just ending when a gateway was killed, and when Redis was.
        margin = DEATHS * 2 * CLIENTS * TOKENS
        assert used["narrow"] <= NARROW + margin
        assert all(abs(used[team] - sums[team]) <= margin for team in used)
        with redis.client() as client:
            client.flushall()
        with httpx.Client(timeout=30) as http:
            until(lambda: asked_anew(wide, http), 30, "seeded")
            narrow.one(http, "anew-narrow", stream=False)
        until(lambda: not ledger_waits(last), 60, "caught up")
        assert stores.counted() == stores.used()


def asked_anew(crowd: Crowd, http: httpx.Client) -> bool:
    before = len(crowd.completed)
    crowd.one(http, f"anew-{time.monotonic()}", stream=False)
    return len(crowd.completed) > before
