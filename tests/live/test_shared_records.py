"""Decision records through a real Redis: several gateways, several workers, and Redis gone."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.reload import as_started, waiting_for_restart
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.redis_server import PASSWORD, RedisServer, redis_server
from tests.served_command import served_command
from tests.web.test_requests import ask, team

pytestmark = pytest.mark.live

CALLS = 24


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


def gateway_on(mock: MockVLLM, redis: RedisServer, **more: Any) -> ServedGateway:
    settings = Settings(
        health={"probe": False},  # type: ignore[arg-type]
        records={"redis_url": redis.url},  # type: ignore[arg-type]
        teams=(team("ide"), team("batch")),
        **more,
    )
    return ServedGateway(fleet_on([mock.base_url]), settings)


def look(gateway: ServedGateway, call_id: str, key: str = "sk-ide") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.get(f"{gateway.url}/requests/{call_id}", headers=headers, timeout=30)


def ready(gateway: ServedGateway) -> tuple[int, str]:
    answer = httpx.get(f"{gateway.url}/readyz", timeout=30)
    return answer.status_code, answer.json()["records"]


def metric(gateway: ServedGateway, name: str) -> float:
    lines = httpx.get(f"{gateway.url}/metrics", timeout=30).text.splitlines()
    return next(float(line.split(" ")[1]) for line in lines if line.startswith(f"{name} "))


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_record_is_found_at_another_gateway_by_its_own_team_alone(
    mock: MockVLLM, redis: RedisServer
) -> None:
    with gateway_on(mock, redis) as one, gateway_on(mock, redis) as other:
        ask(one, "mine", "sk-ide")
        until(lambda: look(other, "mine").status_code == 200)
        assert look(other, "mine").json() == look(one, "mine").json()
        assert len(look(one, "mine").json()["data"]) == 1
        assert [look(each, "mine", "sk-batch").status_code for each in (one, other)] == [404, 404]
        ask(other, "mine", "sk-ide", model="unknown")
        until(lambda: len(look(one, "mine").json()["data"]) == 2)
        found = [record["outcome"] for record in look(one, "mine").json()["data"]]
        assert found == ["refused", "completed"]


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_without_redis_calls_go_on_and_when_it_is_back_so_do_the_records(
    mock: MockVLLM, redis: RedisServer, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with gateway_on(mock, redis) as one, gateway_on(mock, redis) as other:
        until(lambda: metric(one, "gw_records_redis_up") == 1)
        redis.kill() if how == "killed" else redis.freeze()
        assert ask(one, "mine", "sk-ide").status_code == 200
        until(lambda: ready(one) == (200, "redis unavailable"))
        assert metric(one, "gw_records_redis_up") == 0
        until(lambda: look(one, "mine").status_code == 200)
        answer = look(other, "mine")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["error"]["code"] == "records_unavailable"
        redis.start() if how == "killed" else redis.thaw()
        until(lambda: look(other, "mine").status_code == 200)
        until(lambda: ready(one) == ready(other) == (200, "redis"))
        until(lambda: metric(one, "gw_records_redis_up") == 1)
        assert metric(one, "gw_records_dropped_total") == 0
    assert "redis unavailable" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_gateway_starts_and_ends_without_its_redis(mock: MockVLLM, redis: RedisServer) -> None:
    redis.kill()
    with gateway_on(mock, redis) as gateway:
        assert ask(gateway, "mine", "sk-ide").status_code == 200
        until(lambda: ready(gateway) == (200, "redis unavailable"))
        until(lambda: look(gateway, "mine").status_code == 200)


def test_another_redis_takes_a_restart_and_its_url_is_not_told() -> None:
    was, now = (
        Settings(records={"redis_url": url})  # type: ignore[arg-type]
        for url in (None, f"redis://:{PASSWORD}@cache")
    )
    assert waiting_for_restart(now, was) == ("records.redis_url",)
    assert as_started(now, was).records == was.records


def test_each_worker_finds_what_any_worker_served_and_none_is_lost_at_the_end(
    tmp_path: Path, mock: MockVLLM, redis: RedisServer
) -> None:
    folder = tmp_path / "served"
    folder.mkdir()
    mock.script(Behaviour(tokens=3, delay_between=0.05))
    environ = {"VLLM_BASE_URL": mock.base_url, "GATEWAY_RECORDS__REDIS_URL": redis.url}
    with served_command(folder, "--workers", "2", **environ) as served:
        asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}

        def call(name: str) -> int:
            headers, url = {"x-request-id": name}, f"{served.url}/v1/chat/completions"
            return httpx.post(url, json=asked, headers=headers, timeout=60).status_code

        def found(name: str) -> int:
            return httpx.get(f"{served.url}/requests/{name}", timeout=60).status_code

        with ThreadPoolExecutor(8) as pool, redis.client() as client:
            names = [f"call-{number}" for number in range(CALLS)]
            assert set(pool.map(call, names)) == {200}
            until(lambda: client.llen("{vllm-gateway}:order") == CALLS)
            # Each connection is a new one, and goes to whichever worker takes it.
            assert set(pool.map(found, names * 4)) == {200}
            assert served.metric("gw_records_redis_up") == 2
            assert set(pool.map(call, ["last"] * 8)) == {200}
            assert served.stop(signal.SIGTERM) == 0
            assert client.llen("{vllm-gateway}:order") == CALLS + 8
        assert PASSWORD not in served.printed
