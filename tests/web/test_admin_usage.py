"""GET /admin/usage and GET /usage: who sees what, and how it is asked for."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.admin_usage import TooManyReports, Turns
from tests.web.test_requests import team


@pytest.fixture
def gateway(mock_vllm_factory: MockFleet, tmp_path: Path) -> Iterator[ServedGateway]:
    settings = Settings(
        state={"folder": tmp_path, "flush_s": 0.01},  # type: ignore[arg-type]
        teams=(team("ide"), team("batch"), team("operators")),
    )
    mock = mock_vllm_factory(model="m")
    with ServedGateway(fleet_on([mock.base_url]), settings) as served:
        for key in ("sk-ide", "sk-ide", "sk-batch", "sk-wrong"):
            body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
            httpx.post(f"{served.url}/v1/chat/completions", json=body, headers=bearer(key))
        ends = time.monotonic() + 20
        while get(served, "/admin/usage?by=").json()["data"][0]["requests"] != 3:
            assert time.monotonic() < ends
            time.sleep(0.02)
        yield served


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def get(gateway: ServedGateway, path: str, key: str = "sk-operators") -> httpx.Response:
    return httpx.get(f"{gateway.url}{path}", headers=bearer(key), timeout=30)


def rows(answer: httpx.Response) -> list[tuple[Any, ...]]:
    found = answer.json()
    return [(*(row[word] for word in found["by"]), row["requests"]) for row in found["data"]]


def test_an_operator_sees_all_teams_by_any_combination(gateway: ServedGateway) -> None:
    found = get(gateway, "/admin/usage?by=team,model,outcome&since=1d")
    assert rows(found) == [("batch", "m", "completed", 1), ("ide", "m", "completed", 2)]
    assert found.json()["data"][1]["prompt_tokens"] > 0
    assert found.headers["cache-control"] == "no-store"
    assert rows(get(gateway, "/admin/usage?by=key&team=ide")) == [("ide-1", 2)]
    assert rows(get(gateway, "/admin/usage?until=2020-01-01&since=2019-01-01")) == []


def test_a_team_sees_itself_alone(gateway: ServedGateway) -> None:
    assert get(gateway, "/admin/usage", "sk-ide").status_code == 403
    assert get(gateway, "/admin/usage", "sk-wrong").status_code == 401
    assert get(gateway, "/usage", "sk-wrong").status_code == 401
    assert rows(get(gateway, "/usage?by=team,key", "sk-ide")) == [("ide", "ide-1", 2)]
    assert rows(get(gateway, "/usage?by=team&team=ide", "sk-ide")) == [("ide", 2)]
    assert get(gateway, "/usage?team=batch", "sk-ide").status_code == 400


def test_as_csv_it_has_a_head_and_a_row_each(gateway: ServedGateway) -> None:
    found = get(gateway, "/admin/usage?by=team&format=csv")
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(found.text)))
    assert table[0][:2] == ["team", "requests"]
    assert [line[:2] for line in table[1:]] == [["batch", "1"], ["ide", "2"]]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("by=teem", "did you mean 'team'"),
        ("since=yesterday", "write a day"),
        ("format=xml", "json or csv"),
        ("colour=blue", "Unknown parameter 'colour'"),
    ],
)
def test_a_wrong_question_is_told_what_to_ask(
    gateway: ServedGateway, query: str, words: str
) -> None:
    answer = get(gateway, f"/admin/usage?{query}")
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]


def test_readyz_and_metrics_tell_of_database_and_ledger(gateway: ServedGateway) -> None:
    state = httpx.get(f"{gateway.url}/readyz").json()["state"]
    assert state["database"] == "ok"
    assert state["ledger"] == {
        "state": "ok",
        "waiting": 0,
        "in_memory": 0,
        "bytes": 0,
        "lost": 0,
    }
    metrics = httpx.get(f"{gateway.url}/metrics").text
    assert "gw_database_up 1.0" in metrics
    assert "gw_ledger_backlog 0.0" in metrics


def test_a_drain_is_in_the_audit_log_with_who_did_it_and_why(
    gateway: ServedGateway, tmp_path: Path
) -> None:
    answer = httpx.post(
        f"{gateway.url}/admin/replicas/r0/drain",
        headers=bearer("sk-operators"),
        json={"reason": "new driver"},
    )
    assert answer.status_code == 200
    ends = time.monotonic() + 20
    while not (found := audited(tmp_path)):
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert found == [("operators-1", "replica.drain", "r0", '{"reason":"new driver"}')]


def audited(folder: Path) -> list[tuple[str, ...]]:
    import sqlite3

    connection = sqlite3.connect(folder / "gateway.db")
    try:
        return connection.execute("SELECT actor, action, target, facts FROM audit").fetchall()
    finally:
        connection.close()


def test_a_gateway_that_keeps_nothing_says_so(mock_vllm_factory: MockFleet) -> None:
    mock = mock_vllm_factory(model="m")
    with ServedGateway(fleet_on([mock.base_url])) as served:
        answer = httpx.get(f"{served.url}/admin/usage")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_ledger")
        assert httpx.get(f"{served.url}/readyz").json()["state"]["database"] == "none"


async def test_reports_are_made_one_after_the_other_and_few_may_wait() -> None:
    turns, made = Turns(most=2), list[str]()
    first_may_end = asyncio.Event()

    async def report(name: str, end: asyncio.Event | None = None) -> None:
        async with turns.turn():
            made.append(name)
            if end is not None:
                await end.wait()

    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    first = asyncio.create_task(report("first", first_may_end))
    await settle()
    second, left = (asyncio.create_task(report(name)) for name in ("second", "left"))
    await settle()
    assert made == ["first"]
    with pytest.raises(TooManyReports) as refused:
        await report("too many")
    assert (refused.value.status, refused.value.retry_after) == (429, 2.0)
    left.cancel()
    await settle()
    third = asyncio.create_task(report("third"))
    await settle()
    first_may_end.set()
    await asyncio.gather(first, second, third)
    assert made == ["first", "second", "third"]
