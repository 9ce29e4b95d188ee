"""GET /requests/{id}: what became of a call and why, told to its own team alone."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from gateway.settings import KeyHash, PolicyEntry, Settings, Team
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.siblings import Question, Siblings
from tests.redis_server import redis_server

CHAT = "/v1/chat/completions"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "the question"}]}


def team(name: str) -> Team:
    sha256 = hashlib.sha256(f"sk-{name}".encode()).hexdigest()
    return Team(name=name, keys=(KeyHash(id=f"{name}-1", sha256=sha256),))


def settings(**more: Any) -> Settings:
    return Settings(
        retries={"backoff_s": (0.01,)},  # type: ignore[arg-type]
        health={"probe": False},  # type: ignore[arg-type]
        **more,
    )


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


@pytest.fixture
def gateway(mock: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([mock.base_url]), settings()) as served:
        yield served


def records(gateway: ServedGateway, call_id: str, key: str = "") -> list[dict[str, Any]]:
    """Once there is one: the answer may be here a moment before its record."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        answer = httpx.get(f"{gateway.url}/requests/{call_id}", headers=headers)
        if answer.status_code == 200:
            data: list[dict[str, Any]] = answer.json()["data"]
            return data
        time.sleep(0.01)
    raise AssertionError(answer.text)


def ask(gateway: ServedGateway, call_id: str, key: str = "", **more: Any) -> httpx.Response:
    headers = {"x-request-id": call_id} | ({"authorization": f"Bearer {key}"} if key else {})
    return httpx.post(gateway.url + CHAT, json=ASKED | more, headers=headers, timeout=30)


def kinds(record: dict[str, Any]) -> list[str]:
    return [decision["kind"] for decision in record["decisions"]]


def test_a_completed_call(gateway: ServedGateway) -> None:
    usage = ask(gateway, "a").json()["usage"]
    (record,) = records(gateway, "a")
    assert (record["outcome"], record["status"], record["replica"]) == ("completed", 200, "r0")
    assert record["route"] == CHAT
    assert record["team"] == "anonymous"
    assert record["finish_reason"]
    assert record["tokens"]["prompt"] == usage["prompt_tokens"]
    assert [one["result"] for one in record["attempts"]] == ["ok"]
    assert 0 < record["first_token_seconds"] <= record["seconds"]
    assert "the question" not in str(record)


def test_a_call_that_was_retried_tells_of_each_attempt(mock_vllm_factory: MockFleet) -> None:
    broken, well = mock_vllm_factory(model="m"), mock_vllm_factory(model="m")
    broken.script(Behaviour(status=500))
    with ServedGateway(fleet_on([broken.base_url, well.base_url]), settings()) as gateway:
        for number in range(20):
            ask(gateway, f"r{number}")
            (record,) = records(gateway, f"r{number}")
            if len(record["attempts"]) > 1:
                break
    assert [one["replica"] for one in record["attempts"]] == ["r0", "r1"]
    assert [one["result"] for one in record["attempts"]] == ["server_error", "ok"]
    assert record["outcome"] == "completed"
    choices = [one for one in record["decisions"] if one["kind"] == "choice"]
    assert [one["replica"] for one in choices] == ["r0", "r1"]
    assert choices[0]["why"]
    assert set(choices[0]["candidates"]) == {"r0", "r1"}
    times = [one["at"] for one in record["decisions"]]
    assert times == sorted(times)


def test_a_call_that_a_policy_refused(mock: MockVLLM) -> None:
    chain = (PolicyEntry(use="allowlist", settings={"models": ["other"]}),)
    with ServedGateway(fleet_on([mock.base_url]), settings(policies=chain)) as gateway:
        assert ask(gateway, "a").status_code == 403
        (record,) = records(gateway, "a")
    assert (record["outcome"], record["attempts"]) == ("refused", [])
    (verdict,) = record["decisions"]
    assert (verdict["kind"], verdict["policy"], verdict["decision"]) == (
        "policy",
        "allowlist",
        "refused",
    )


def test_a_call_whose_client_left(gateway: ServedGateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(tokens=100, delay_between=0.1))
    asked, headers = ASKED | {"stream": True}, {"x-request-id": "gone"}
    with httpx.stream("POST", gateway.url + CHAT, json=asked, headers=headers) as answer:
        next(answer.iter_raw())
    (record,) = records(gateway, "gone")
    assert (record["outcome"], record["code"]) == ("cancelled", "client_disconnected")
    assert [one["result"] for one in record["attempts"]] == ["cancelled"]


def test_a_call_that_waited_for_its_turn(mock: MockVLLM) -> None:
    mock.script(Behaviour(tokens=5, delay_between=0.1))
    with ServedGateway(
        fleet_on([mock.base_url]), settings(queue={"slots_per_replica": 1})
    ) as gateway:
        first = threading.Thread(target=ask, args=(gateway, "first"), kwargs={"stream": True})
        first.start()
        until(lambda: mock.requests())
        ask(gateway, "second")
        first.join()
        (record,) = records(gateway, "second")
    assert record["queue_seconds"] > 0
    assert "queued" in kinds(record)


def test_calls_of_one_id_are_all_told_newest_first(gateway: ServedGateway) -> None:
    ask(gateway, "same")
    ask(gateway, "same", model="unknown")
    found = [one["outcome"] for one in records(gateway, "same")]
    assert found == ["refused", "completed"]


def test_another_teams_call_looks_like_one_that_never_was(mock: MockVLLM) -> None:
    teams = (team("ide"), team("batch"))
    with ServedGateway(fleet_on([mock.base_url]), settings(teams=teams)) as gateway:
        ask(gateway, "mine", "sk-ide")
        assert records(gateway, "mine", "sk-ide")[0]["team"] == "ide"
        url, key = f"{gateway.url}/requests", {"authorization": "Bearer sk-batch"}
        one, other = (
            httpx.get(f"{url}/{name}", headers=key | {"x-request-id": "look"})
            for name in ("mine", "never")
        )
        assert (one.status_code, other.status_code) == (404, 404)
        assert one.json() == other.json()
        assert httpx.get(f"{url}/mine").status_code == 401
        wrong = {"authorization": "Bearer sk-nobody"}
        assert httpx.get(f"{url}/mine", headers=wrong).status_code == 401


# ---- Of other teams, of calls that run, of other processes ---------------------------------------


OPERATORS = Team(
    name="ops",
    keys=(KeyHash(id="ops-1", sha256=hashlib.sha256(b"sk-ops").hexdigest(), roles=("operator",)),),
)


def test_an_operator_sees_the_calls_of_every_team(mock: MockVLLM) -> None:
    with ServedGateway(
        fleet_on([mock.base_url]), settings(teams=(team("ide"), OPERATORS))
    ) as gateway:
        ask(gateway, "mine", "sk-ide")
        (record,) = records(gateway, "mine", "sk-ops")
    assert (record["team"], record["key_id"]) == ("ide", "ide-1")


def test_an_operator_finds_what_is_in_redis_alone(mock: MockVLLM) -> None:
    fleet = fleet_on([mock.base_url])
    with redis_server() as redis:
        shared = settings(teams=(team("ide"), OPERATORS), records={"redis_url": redis.url})
        with ServedGateway(fleet, shared) as gateway:
            ask(gateway, "mine", "sk-ide")
            records(gateway, "mine", "sk-ide")
        with ServedGateway(fleet, shared) as another:
            assert records(another, "mine", "sk-ops")[0]["team"] == "ide"


def test_a_call_that_runs_is_told_of_where_that_is_asked_for(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(tokens=300, delay_between=0.05))
    url, asked = f"{gateway.url}/requests/runs", ASKED | {"stream": True}
    headers = {"x-request-id": "runs"}
    with httpx.stream("POST", gateway.url + CHAT, json=asked, headers=headers) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        next(pieces)
        assert httpx.get(url).status_code == 404
        (record,) = httpx.get(url, params={"running": "true"}).json()["data"]
    assert (record["outcome"], record["phase"], record["status"]) == ("running", "answering", None)
    assert (record["replica"], record["attempts"]) == ("r0", [])
    assert record["tokens"]["completion"] > 0
    assert record["seconds"] > 0
    assert kinds(record) == ["choice"]


def test_where_nothing_is_kept_that_is_said(mock: MockVLLM) -> None:
    with ServedGateway(fleet_on([mock.base_url]), settings(records={"keep": 0})) as gateway:
        ask(gateway, "a")
        answer = httpx.get(f"{gateway.url}/requests/a")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_records")


def test_another_worker_process_is_asked_too(mock: MockVLLM, tmp_path: Path) -> None:
    asked: list[Question] = []

    async def say(question: Question) -> bytes:
        asked.append(question)
        if question["id"] != "there":
            return b""
        told = {"request_id": "there", "began": "2026-01-01T00:00:00.000Z", "seconds": 1.0}
        return json.dumps(told).encode()

    two = settings(server={"workers": 2}, teams=(team("ide"), OPERATORS))
    with ServedGateway(fleet_on([mock.base_url]), two, folder=tmp_path) as gateway:
        url, key = f"{gateway.url}/requests", {"authorization": "Bearer sk-ide"}
        silent = httpx.get(f"{url}/there", headers=key)
        assert "1 worker process could not be asked" in silent.json()["error"]["message"]
        sibling = Siblings(tmp_path, 2)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(sibling.answering({"records": say})),
        ):
            assert records(gateway, "there", "sk-ide")[0]["request_id"] == "there"
            nowhere = httpx.get(f"{url}/nowhere", headers=key)
            assert "could not be asked" not in nowhere.json()["error"]["message"]
            records(gateway, "there", "sk-ops")
    assert [one["team"] for one in asked] == ["ide", "ide", None]


def until(true: Callable[[], object]) -> None:
    ends = time.monotonic() + 10
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)
