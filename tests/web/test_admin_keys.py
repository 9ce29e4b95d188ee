"""/admin/keys and /admin/teams: two gateways on one database know of every change in a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

ADMIN = {"authorization": "Bearer sk-admin"}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def mock(mock_vllm_factory: MockFleet) -> MockVLLM:
    return mock_vllm_factory(model="m")


@pytest.fixture
def urls(mock: MockVLLM, tmp_path: Path) -> Iterator[tuple[str, str]]:
    team = Team(name="operators", keys=(KeyHash(id="o-1", sha256=hash_key("sk-admin")),))
    url = f"sqlite:///{tmp_path}/shared.db"
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            settings = Settings(teams=(team,), state={"database_url": url})  # type: ignore[arg-type]
            served = ServedGateway(fleet_on([mock.base_url]), settings)
            found.append(stack.enter_context(served).url)
        yield found[0], found[1]


def status(url: str, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{url}/v1/chat/completions", headers=headers, json=ASKED).status_code


def until(true: Callable[[], object]) -> float:
    """Seconds until it was true, at most ten."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() < began + 10
    return time.monotonic() - began


def test_a_key_opens_both_gateways_until_it_is_revoked_on_one(urls: tuple[str, str]) -> None:
    here, there = urls
    made = httpx.post(f"{here}/admin/keys", headers=ADMIN, json={"team": "ide", "id": "k"}).json()
    key = made["key"]
    assert status(here, key) == 200
    until(lambda: status(there, key) == 200)

    rotated = httpx.post(
        f"{there}/admin/keys/k/rotate", headers=ADMIN, json={"overlap_s": 3600}
    ).json()
    assert (status(there, key), status(there, rotated["key"])) == (200, 200)
    until(lambda: status(here, rotated["key"]) == 200)

    gone = httpx.delete(f"{here}/admin/keys/k", headers=ADMIN)
    assert gone.json()["revoked_at"] is not None
    assert status(here, key) == 401
    until(lambda: status(there, key) == 401)
    assert status(there, rotated["key"]) == 200
    shown = httpx.get(f"{there}/admin/keys", headers=ADMIN)
    assert [row["id"] for row in shown.json()["data"]] == ["o-1", "k", rotated["id"]]
    assert key not in shown.text
    assert hash_key(key) not in shown.text


def test_a_teams_limits_hold_for_keys_that_it_has(urls: tuple[str, str]) -> None:
    here, _ = urls
    key = httpx.post(f"{here}/admin/keys", headers=ADMIN, json={"team": "ide"}).json()["key"]
    assert status(here, key) == 200
    put = httpx.put(f"{here}/admin/teams/ide", headers=ADMIN, json={"models": ["other"]})
    assert put.json() == {
        "name": "ide",
        "source": "database",
        "models": ["other"],
        "routes": [],
        "roles": None,
    }
    assert status(here, key) == 403
    assert httpx.delete(f"{here}/admin/teams/ide", headers=ADMIN).status_code == 409
    names = [row["name"] for row in httpx.get(f"{here}/admin/teams", headers=ADMIN).json()["data"]]
    assert names == ["operators", "ide"]


@pytest.mark.parametrize(
    ("body", "expected", "code"),
    [
        ({"team": "a b"}, 422, "invalid_key"),
        ({"team": "ide", "expire": "2027-01-31"}, 422, "invalid_key"),
        ({"team": "ide", "expires": "soon"}, 422, "invalid_key"),
        ({"team": "operators", "id": "o-1"}, 409, "conflict"),
        ({}, 422, "invalid_key"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    urls: tuple[str, str], body: dict[str, object], expected: int, code: str
) -> None:
    answer = httpx.post(f"{urls[0]}/admin/keys", headers=ADMIN, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (expected, code)


def test_without_a_database_the_answer_says_what_to_set(mock: MockVLLM) -> None:
    with ServedGateway(fleet_on([mock.base_url])) as gateway:
        answer = httpx.post(f"{gateway.url}/admin/keys", json={"team": "ide"})
    assert answer.status_code == 409
    assert "state.folder" in answer.json()["error"]["message"]
