"""The authorisation matrix: every route of a real gateway, asked with every kind of key."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from gateway.settings import Settings, Team
from gateway.settings.teams import KeyHash, hash_key
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.access import ANYBODY, CALLS, METRICS, OPERATOR, ROUTES, Place, table, told
from gateway.web.server import create_app
from tests.shared_gateway import forgetful

PAST, FUTURE = time.time() - 10, time.time() + 1e6
# What FastAPI's own pages need; they tell nothing that /openapi.json does not.
_PAGES = "/static-offline-docs"


def key(name: str, **scope: object) -> KeyHash:
    return KeyHash.model_validate({"id": name, "sha256": hash_key(f"sk-{name}"), **scope})


TEAMS = (
    Team(
        name="ide",
        keys=(
            key("user"),
            key("author", roles=["author"]),
            key("operator", roles=["operator"]),
            key("expired", roles=["user", "author", "operator"], expires=PAST),
            key("early", roles=["user", "author", "operator"], not_before=FUTURE),
            key("elsewhere", roles=["user", "author", "operator"], routes=["/nowhere/*"]),
            key("other-model", models=["other-*"]),
            key("prometheus", roles=["operator"], routes=["/metrics"]),
        ),
    ),
    Team(name="batch", keys=(key("batch"),)),
    Team(name="operators", keys=(key("admin"), key("revoked", models=["m"]))),
)
ROLES = {"user": {"user"}, "author": {"author"}, "operator": {"operator"}}


@dataclass(frozen=True)
class House:
    url: str

    def status(self, place: Place, name: str | None, **asked: object) -> tuple[int, str]:
        """Status and error code of a request to a route, with the key of that name."""
        method, path = place
        path = re.sub(r"\{[^}]*\}", "unknown", path)
        headers = {"authorization": f"Bearer sk-{name}"} if name is not None else {}
        body = asked or {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        send = {} if method in ("GET", "DELETE") else {"json": body}
        answer = httpx.request(method, self.url + path, headers=headers, **send)  # type: ignore[arg-type]
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return answer.status_code, ""
        found = answer.json()
        error = found.get("error") if isinstance(found, dict) else None
        return answer.status_code, error["code"] if isinstance(error, dict) else ""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("state")
    # No delays: this asks with many wrong keys.
    settings = forgetful(teams=TEAMS, state={"folder": folder}, identity={"failures": 0})
    mock = MockVLLM.start(model="m")
    with contextlib.ExitStack() as stack:
        stack.callback(mock.stop)
        served = stack.enter_context(ServedGateway(fleet_on([mock.base_url]), settings))
        gateway = House(served.url)
        admin = {"authorization": "Bearer sk-admin"}
        made = httpx.post(
            f"{served.url}/admin/keys", headers=admin, json={"team": "dbteam", "id": "gone"}
        ).json()
        # Made by the gateway, and withdrawn by it.
        _STORED["revoked"] = made["key"]
        assert httpx.delete(f"{served.url}/admin/keys/gone", headers=admin).status_code == 200
        yield gateway


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One whose metrics are not for everybody."""
    settings = forgetful(
        teams=TEAMS,
        state={"folder": tmp_path_factory.mktemp("kept")},
        identity={"failures": 0},
        server={"metrics_need_key": True},
    )
    with ServedGateway(fleet_on(["http://127.0.0.1:1/v1"]), settings) as served:
        yield House(served.url)


_STORED: dict[str, str] = {}
GUARDED = sorted(place for place, roles in ROUTES.items() if roles is not ANYBODY)


def places(routes: Iterable[BaseRoute]) -> Iterator[Place]:
    """Every method and path, of routers within routers too."""
    for route in routes:
        if isinstance(route, Route):
            yield from ((method, route.path) for method in (route.methods or set()) - {"HEAD"})
        elif isinstance(route, Mount):
            assert route.path == _PAGES
        else:
            yield from places(route.original_router.routes)  # type: ignore[attr-defined]


def test_every_route_of_the_app_is_in_the_table_and_no_other() -> None:
    app = create_app(Settings(), fleet_on(["http://127.0.0.1:1/v1"]))
    assert set(places(app.routes)) == set(ROUTES)


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_a_route_is_closed_to_who_has_no_good_key(house: House, place: Place) -> None:
    for name in (None, "wrong", "expired", "early"):
        assert house.status(place, name)[0] == 401, name
    headers = {"authorization": f"Bearer {_STORED['revoked']}"}
    path = re.sub(r"\{[^}]*\}", "unknown", place[1])
    answer = httpx.request(place[0], house.url + path, headers=headers)
    assert answer.status_code == 401
    assert "revoked" in answer.text


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_a_route_is_open_to_its_roles_alone(house: House, place: Place) -> None:
    wanted = ROUTES[place]
    assert wanted is not None
    for name, roles in ROLES.items():
        status, code = house.status(place, name)
        if not wanted or roles & wanted:
            assert status not in (401, 403), (name, code)
        else:
            assert (status, code) == (403, "role_required"), name
    assert house.status(place, "admin")[0] not in (401, 403)


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_a_key_for_other_routes_opens_none_of_these(house: House, place: Place) -> None:
    assert house.status(place, "elsewhere") == (403, "route_not_permitted")


@pytest.mark.parametrize("place", sorted(CALLS), ids=" ".join)
def test_a_key_for_other_models_gets_no_answer(house: House, place: Place) -> None:
    body: dict[str, object] = {"model": "m"}
    if place[1].startswith("/v1/"):
        body |= {"messages": [{"role": "user", "content": "x"}], "prompt": "x", "input": "x"}
    status, code = house.status(place, "other-model", **body)
    if place[1].startswith("/v1/"):
        assert (status, code) == (403, "model_not_permitted")
    else:
        assert status >= 400


def test_a_key_for_other_models_cannot_have_code_explained_by_this_one(house: House) -> None:
    line = {"line": 0, "character": 0}
    asked = {
        "file": {"path": "a.py", "content": "x = 1\n"},
        "selection": {"start": line, "end": {"line": 0, "character": 5}},
    }
    place = ("POST", "/api/ai/explain")
    assert house.status(place, "user", **asked)[0] == 200
    assert house.status(place, "other-model", **asked) == (403, "model_not_permitted")


@pytest.mark.parametrize(
    "place", sorted(place for place, roles in ROUTES.items() if roles is ANYBODY), ids=" ".join
)
def test_a_public_route_asks_for_no_key(house: House, place: Place) -> None:
    for name in (None, "wrong", "expired"):
        assert house.status(place, name)[0] == 200


def test_metrics_that_need_a_key_are_for_operators_alone(kept: House) -> None:
    for name in (None, "wrong", "expired", "early"):
        assert kept.status(METRICS, name) == (401, "invalid_api_key"), name
    for name in ("user", "author", "batch"):
        assert kept.status(METRICS, name) == (403, "role_required"), name
    assert kept.status(METRICS, "elsewhere") == (403, "route_not_permitted")
    for name in ("operator", "admin", "prometheus"):
        assert kept.status(METRICS, name) == (200, ""), name


def test_a_refused_look_at_metrics_shows_none_and_says_what_to_give(kept: House) -> None:
    answer = httpx.get(f"{kept.url}/metrics")
    assert "Authorization: Bearer" in answer.json()["error"]["message"]
    assert "gw_" not in answer.text
    shown = {"authorization": "Bearer sk-prometheus"}
    assert "gw_requests_total" in httpx.get(f"{kept.url}/metrics", headers=shown).text


@pytest.mark.parametrize("place", GUARDED, ids=" ".join)
def test_the_key_of_a_prometheus_opens_nothing_else(kept: House, place: Place) -> None:
    assert kept.status(place, "prometheus")[0] == 403


def test_where_metrics_need_a_key_all_else_is_as_it_was(kept: House) -> None:
    server = Settings.model_validate({"server": {"metrics_need_key": True}}).server
    assert dict(table(server)) == {**ROUTES, METRICS: OPERATOR}
    assert kept.status(("GET", "/healthz"), None) == (200, "")
    assert kept.status(("GET", "/readyz"), None) != (401, "invalid_api_key")
    document = httpx.get(f"{kept.url}/openapi.json").json()
    said = document["paths"]["/metrics"]["get"]["description"]
    assert said == "For keys with the role operator."


def test_where_nobody_needs_a_key_nobody_needs_one_for_metrics() -> None:
    settings = forgetful(server={"metrics_need_key": True})
    with ServedGateway(fleet_on(["http://127.0.0.1:1/v1"]), settings) as served:
        assert httpx.get(f"{served.url}/metrics").status_code == 200


def test_models_are_those_that_the_key_may_ask_for(house: House) -> None:
    def models(name: str) -> list[str]:
        headers = {"x-api-key": f"sk-{name}"}
        rows = httpx.get(f"{house.url}/v1/models", headers=headers).json()["data"]
        return [row["id"] for row in rows]

    assert models("user") == ["m"]
    assert models("other-model") == []


def test_a_call_is_shown_to_its_own_team_and_to_operators(house: House) -> None:
    headers = {"authorization": "Bearer sk-user", "x-request-id": "mine-1"}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx.post(f"{house.url}/v1/chat/completions", headers=headers, json=body).is_success

    def status(name: str) -> int:
        shown = {"authorization": f"Bearer sk-{name}"}
        return httpx.get(f"{house.url}/requests/mine-1", headers=shown).status_code

    assert [status(name) for name in ("user", "operator", "batch", "admin")] == [200, 200, 404, 200]


@pytest.mark.parametrize(
    "path", ["/admin/replicas/", "//admin/replicas", "/admin/%72eplicas", "/admin/x/../replicas"]
)
def test_another_spelling_of_a_route_opens_nothing(house: House, path: str) -> None:
    answer = httpx.get(house.url + path, headers={"authorization": "Bearer sk-user"})
    assert answer.status_code in (403, 404)


def test_the_pages_say_whom_a_route_is_for(house: House) -> None:
    document = httpx.get(f"{house.url}/openapi.json").json()
    for method, path in ROUTES:
        shown = re.sub(r":path}", "}", path)
        if shown in document["paths"]:
            described = document["paths"][shown][method.lower()]["description"]
            assert told((method, path)) in described
