"""GET /admin/live: what goes on now, of this process and of its siblings, for operators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from anyio.from_thread import start_blocking_portal

from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.siblings import Question, Siblings
from tests.served_command import until
from tests.shared_gateway import forgetful

CHAT = "/v1/chat/completions"


@pytest.fixture
def mock(mock_vllm: MockVLLM) -> MockVLLM:
    mock_vllm.script(Behaviour(tokens=400, delay_between=0.02))
    return mock_vllm


@pytest.fixture
def gateway(mock: MockVLLM) -> Iterator[ServedGateway]:
    settings = forgetful(queue={"slots_per_replica": 1})
    with ServedGateway(fleet_on([mock.base_url], model="mock"), settings) as served:
        yield served


def live(gateway: ServedGateway, **headers: str) -> dict[str, Any]:
    answer = httpx.get(f"{gateway.url}/admin/live", headers=headers)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


class Streams:
    """Clients that read their streams until they are told to stop."""

    def __init__(self, gateway: ServedGateway) -> None:
        self._url = gateway.url + CHAT
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, call_id: str, **more: object) -> None:
        body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        thread = threading.Thread(target=self._read, args=(body | more, call_id))
        self._threads.append(thread)
        thread.start()

    def _read(self, body: dict[str, object], call_id: str) -> None:
        headers = {"x-request-id": call_id}
        with httpx.stream("POST", self._url, json=body, headers=headers, timeout=60) as answer:
            for _ in answer.iter_raw():
                if self._over.is_set():
                    return

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def streams(gateway: ServedGateway) -> Iterator[Streams]:
    made = Streams(gateway)
    yield made
    made.end()


def test_streams_queues_and_replicas_are_told_while_they_run(
    gateway: ServedGateway, streams: Streams
) -> None:
    streams.begin("first")
    until(lambda: live(gateway)["phases"] == {"answering": 1}, 20, "answering")
    streams.begin("second")
    until(lambda: live(gateway)["phases"] == {"answering": 1, "queued": 1}, 20, "queued")
    until(lambda: live(gateway)["slowest"][0]["tokens"] > 3, 20, "counted")
    told = live(gateway)
    assert told["queues"] == [{"model": "mock", "running": 1, "slots": 1, "waiting": 1}]
    assert [(row["id"], row["in_flight"]) for row in told["replicas"]] == [("r0", 1)]
    first, second = told["slowest"]
    assert (first["id"], first["replica"], first["route"]) == ("first", "r0", CHAT)
    assert (second["id"], second["replica"], second["tokens"]) == ("second", "", None)
    assert first["seconds"] > second["seconds"] > 0
    assert told["teams"] == [{"team": "anonymous", "running": 2, "queued": 1}]
    assert "127.0.0.1" not in str(told)
    assert "hi" not in {word for call in told["slowest"] for word in map(str, call.values())}


def test_tokens_of_a_stream_count_while_it_runs_and_once_when_it_has_ended(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    mock.script(Behaviour(tokens=30))
    body = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(3):
        httpx.post(gateway.url + CHAT, json=body)
    until(lambda: live(gateway)["workers"][0]["counts"]["requests"] == 3, 20, "settled")
    (worker,) = live(gateway)["workers"]
    assert worker["counts"]["completion_tokens"] == 90
    assert worker["teams"]["anonymous"] == worker["counts"]


def test_while_somebody_looks_the_replicas_are_asked_for_their_load(
    gateway: ServedGateway, mock: MockVLLM
) -> None:
    assert mock.requests("/metrics") == []
    mock.load(waiting=4, kv_cache_usage=0.5)
    until(lambda: live(gateway)["replicas"][0]["kv"] == 0.5, 20, "told")
    assert live(gateway)["replicas"][0]["waiting"] == 4.0


def test_it_is_for_operators(mock: MockVLLM) -> None:
    teams = tuple(
        Team(name=name, keys=(KeyHash(id=f"{name}-1", sha256=hash_key(f"sk-gw-{name}"), **more),))
        for name, more in (("ide", {}), ("ops", {"roles": ["operator"]}))
    )
    with ServedGateway(fleet_on([mock.base_url]), Settings(teams=teams)) as gateway:
        url = f"{gateway.url}/admin/live"
        assert httpx.get(url).status_code == 401
        refused = httpx.get(url, headers={"x-api-key": "sk-gw-ide"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "role_required")
        assert live(gateway, authorization="Bearer sk-gw-ops")["silent"] == 0


def test_other_worker_processes_are_in_it_and_those_that_say_nothing_are_counted(
    mock: MockVLLM, tmp_path: Path
) -> None:
    settings = Settings(server={"workers": 3})  # type: ignore[arg-type]
    fleet = fleet_on([mock.base_url], model="mock")
    with ServedGateway(fleet, settings, folder=tmp_path) as gateway:
        assert live(gateway)["silent"] == 2
        own = live(gateway)
        other = own | {"phases": {"queued": 7}}
        other["workers"] = [own["workers"][0] | {"pid": 1}]

        async def say(_: Question) -> bytes:
            return orjson.dumps(other)

        sibling = Siblings(tmp_path, 3)
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(sibling.answering({"live": say})),
        ):
            both = live(gateway)
    assert both["phases"] == {"queued": 7}
    assert (len(both["workers"]), both["silent"]) == (2, 1)
    assert both["replicas"][0]["states"] == {"healthy": 2}
