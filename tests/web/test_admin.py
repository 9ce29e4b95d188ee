"""/admin/*: who may use it, and what draining a replica does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def replicas(mock_vllm_factory: MockFleet) -> list[MockVLLM]:
    return [mock_vllm_factory(model="m"), mock_vllm_factory(model="m")]


@pytest.fixture
def gateway(replicas: list[MockVLLM]) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([mock.base_url for mock in replicas])) as served:
        yield served


def ask(gateway: ServedGateway) -> str:
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
    assert answer.status_code == 200
    return answer.headers["x-gateway-replica"]


def test_replicas_are_listed_with_state_and_load(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    ask(gateway)
    rows = httpx.get(f"{gateway.url}/admin/replicas").json()["replicas"]
    assert [(row["id"], row["model"], row["state"]) for row in rows] == [
        ("r0", "m", "healthy"),
        ("r1", "m", "healthy"),
    ]
    assert {row["in_flight"] for row in rows} == {0}
    assert "127.0.0.1" not in str(rows)


def test_a_drained_replica_gets_nothing_new_and_ends_what_runs(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    other = f"{gateway.url}/admin/replicas/r1"
    assert httpx.post(f"{other}/drain", json={}).status_code == 200
    replicas[0].script(Behaviour(tokens=20, delay_between=0.03))
    texts: list[str] = []

    def stream() -> None:
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json={**ASKED, "stream": True})
        texts.append(answer.text)

    running = threading.Thread(target=stream)
    running.start()
    _wait_for(gateway, "r0", in_flight=1)
    httpx.post(f"{other}/undrain", json={})
    drained = httpx.post(f"{gateway.url}/admin/replicas/r0/drain", json={"reason": "new card"})
    row = drained.json()
    assert (row["state"], row["why"], row["in_flight"]) == ("drained", "new card", 1)
    assert {ask(gateway) for _ in range(8)} == {"r1"}
    running.join(10)
    assert texts[0].endswith("data: [DONE]\n\n")
    _wait_for(gateway, "r0", in_flight=0)
    back = httpx.post(f"{gateway.url}/admin/replicas/r0/undrain", json={}).json()
    assert back["state"] == "healthy"
    replicas[0].script()
    assert {ask(gateway) for _ in range(20)} == {"r0", "r1"}


def _wait_for(gateway: ServedGateway, replica: str, in_flight: int) -> None:
    for _ in range(500):
        rows = httpx.get(f"{gateway.url}/admin/replicas").json()["replicas"]
        if next(row for row in rows if row["id"] == replica)["in_flight"] == in_flight:
            return
    raise AssertionError(f"{replica} never had {in_flight} in flight")


def test_when_all_are_drained_calls_are_503(gateway: ServedGateway) -> None:
    for name in ("r0", "r1"):
        httpx.post(f"{gateway.url}/admin/replicas/{name}/drain", json={})
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=ASKED)
    assert answer.status_code == 503
    ready = httpx.get(f"{gateway.url}/readyz")
    assert ready.status_code == 503
    assert {row["state"] for row in ready.json()["models"]["m"]["states"]} == {"drained"}


def test_an_unknown_replica_is_told(gateway: ServedGateway) -> None:
    answer = httpx.post(f"{gateway.url}/admin/replicas/nope/drain", json={})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "replica_not_found"


def test_an_id_may_have_slashes_as_ids_made_of_addresses_have(mock_vllm: MockVLLM) -> None:
    fleet = fleet_on([mock_vllm.base_url], model="mock")
    assert fleet.config is not None
    named = replace(fleet.config.model_list[0], id="gpu-1:8000/org/mock")
    fleet = replace(fleet, config=replace(fleet.config, model_list=(named,)))
    with ServedGateway(fleet) as gateway:
        url = f"{gateway.url}/admin/replicas/gpu-1:8000/org/mock/drain"
        assert httpx.post(url, json={}).json()["state"] == "drained"


def test_a_web_page_cannot_drain_behind_an_operators_back(gateway: ServedGateway) -> None:
    url = f"{gateway.url}/admin/replicas/r0/drain"
    assert httpx.post(url).status_code == 415
    assert httpx.post(url, content="{}", headers={"content-type": "text/plain"}).status_code == 415


@pytest.mark.parametrize("reason", [3, "x" * 201, "two\nlines", "\x1b[31m"])
def test_a_reason_is_one_line(gateway: ServedGateway, reason: object) -> None:
    answer = httpx.post(f"{gateway.url}/admin/replicas/r0/drain", json={"reason": reason})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "reason"


def test_with_keys_only_the_operators_may(replicas: list[MockVLLM]) -> None:
    teams = tuple(
        Team(name=name, keys=(KeyHash(id=f"{name}-1", sha256=hash_key(f"sk-gw-{name}")),))
        for name in ("ide", "operators")
    )
    settings = Settings(teams=teams)
    with ServedGateway(fleet_on([mock.base_url for mock in replicas]), settings) as gateway:
        for path in ("replicas", "replicas/r0/drain", "replicas/r0/undrain", "replicas/x/drain"):
            method = "GET" if path == "replicas" else "POST"

            def status(key: str | None, method: str = method, path: str = path) -> int:
                headers = {"authorization": f"Bearer {key}"} if key else {}
                body = None if method == "GET" else {}
                url = f"{gateway.url}/admin/{path}"
                return httpx.request(method, url, headers=headers, json=body).status_code

            assert status(None) == 401
            assert status("sk-gw-unknown") == 401
            assert status("sk-gw-ide") == 403
            assert status("sk-gw-operators") == (404 if "/x/" in path else 200)


def test_with_several_workers_a_drain_is_refused_rather_than_half_obeyed(
    replicas: list[MockVLLM],
) -> None:
    settings = Settings(server={"workers": 2})  # type: ignore[arg-type]
    with ServedGateway(fleet_on([mock.base_url for mock in replicas]), settings) as gateway:
        answer = httpx.post(f"{gateway.url}/admin/replicas/r0/drain", json={})
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "several_workers"
