"""The application: its routes, its documentation, and errors outside of any route."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException

from gateway.domain.errors import Overloaded
from gateway.settings import Settings
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.access import ROUTES
from gateway.web.app import build_app
from gateway.web.closing import Closing
from tests.shared_gateway import forgetful

# What /docs tells of: all but itself.
TOLD = {
    (method.lower(), path.replace(":path", ""))
    for method, path in ROUTES
    if not path.startswith(("/docs", "/openapi.json"))
}


@pytest.fixture(scope="module")
def replica() -> Iterator[MockVLLM]:
    with MockVLLM.start() as mock:
        yield mock


@pytest.fixture(scope="module")
def gateway(replica: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([replica.base_url]), forgetful()) as served:
        yield served


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "route_not_found"),
        ("POST", "/v1/nope", 404, "route_not_found"),
        ("POST", "/v1/chat/completions/", 404, "route_not_found"),
        ("POST", "//v1/chat/completions", 404, "route_not_found"),
        ("POST", "/v1/%2e%2e/metrics", 404, "route_not_found"),
        ("POST", "/pause", 404, "route_not_found"),
        ("POST", "/tokenize", 404, "route_not_found"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
def test_what_is_no_route_is_refused_in_openais_shape_and_never_forwarded(
    gateway: ServedGateway, replica: MockVLLM, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, gateway.url + path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert replica.requests() == []


def test_the_description_names_every_route_and_the_bodies_of_those_that_take_one(
    gateway: ServedGateway,
) -> None:
    described = httpx.get(f"{gateway.url}/openapi.json").json()
    assert {(verb, path) for path, verbs in described["paths"].items() for verb in verbs} == TOLD
    for verb, path in TOLD:
        if verb == "post" and not path.startswith("/admin/"):
            body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            # What a preview needs depends on the action that it is of.
            assert body["schema"].get("required") or path == "/api/ai/context/preview"
            assert body["schema"]["properties"]
            assert "$ref" not in str(body)


def test_the_description_is_whole(gateway: ServedGateway) -> None:
    described = httpx.get(f"{gateway.url}/openapi.json").json()
    assert described["openapi"].startswith("3.")
    assert described["info"]["version"]
    operations = [verb for verbs in described["paths"].values() for verb in verbs.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names) == len(TOLD)
    assert all(operation["summary"] and operation["responses"] for operation in operations)
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(described)):
        here = described
        for step in reference.split("/"):
            here = here[step]


def test_the_interactive_docs_need_nothing_from_outside(gateway: ServedGateway) -> None:
    page = httpx.get(f"{gateway.url}/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert link.startswith("/"), f"{link} leaves this server"
        assert httpx.get(gateway.url + link).status_code == 200


# ---- Errors of a route ---------------------------------------------------------------------------


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """An application of routes that each go wrong in their own way."""
    api = APIRouter()

    @api.get("/typed/{number}")
    async def typed(number: int, limit: int) -> int:
        return number

    @api.get("/refused")
    async def refused() -> None:
        raise Overloaded(detail="9 waiting at 10.0.0.7", retry_after=2.0)

    @api.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "secret detail")

    @api.get("/defect")
    async def defect() -> None:
        raise ZeroDivisionError("secret detail")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    closing = Closing(drain=0, grace=0)
    settings = Settings(server={"max_body_bytes": 1024})  # type: ignore[arg-type]
    app = build_app(
        [api], version="1", settings=settings, closing=closing, lifespan=lifespan, models=tuple
    )
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/typed/x", 422, "invalid_body"),
        ("/refused", 429, "queue_full"),
        ("/teapot", 418, "invalid_request"),
        ("/defect", 500, "internal_error"),
    ],
)
async def test_every_error_of_a_route_has_openais_shape_and_no_inside(
    http: httpx.AsyncClient, path: str, status: int, code: str
) -> None:
    answer = await http.get(path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert (error["code"], error["request_id"]) == (code, answer.headers["x-request-id"])
    assert "secret" not in answer.text
    assert "10.0.0.7" not in answer.text


async def test_a_validation_error_names_each_field(http: httpx.AsyncClient) -> None:
    message = (await http.get("/typed/x")).json()["error"]["message"]
    assert "number: " in message
    assert "limit: " in message


async def test_a_busy_route_says_when_to_come_back(http: httpx.AsyncClient) -> None:
    assert (await http.get("/refused")).headers["retry-after"] == "2"


@pytest.mark.parametrize(("trusted", "client"), [(("10.0.0.0/8",), "192.0.2.9"), ((), "10.0.0.1")])
async def test_a_proxys_word_for_its_client_counts_where_the_settings_trust_it(
    trusted: tuple[str, ...], client: str
) -> None:
    api = APIRouter()

    @api.get("/who")
    async def who(request: Request) -> str:
        return request.client.host if request.client is not None else ""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = build_app(
        [api],
        version="1",
        settings=Settings(server={"trusted_proxies": trusted}),  # type: ignore[arg-type]
        closing=Closing(drain=0, grace=0),
        lifespan=lifespan,
        models=tuple,
    )
    transport = httpx.ASGITransport(app=app, client=("10.0.0.1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as asking:
        answer = await asking.get("/who", headers={"x-forwarded-for": "192.0.2.9"})
    assert answer.json() == client
