"""The application: its routes, its documentation, and errors outside of any route."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on

ROUTES = {
    "/v1/chat/completions": "post",
    "/v1/completions": "post",
    "/v1/embeddings": "post",
    "/v1/models": "get",
    "/api/ai/explain": "post",
    "/api/ai/explain/stream": "post",
    "/api/ai/rewrite": "post",
    "/api/ai/rewrite/stream": "post",
    "/healthz": "get",
    "/readyz": "get",
    "/metrics": "get",
}


@pytest.fixture
def gateway(mock_vllm: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([mock_vllm.base_url])) as served:
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
    gateway: ServedGateway, mock_vllm: MockVLLM, method: str, path: str, status: int, code: str
) -> None:
    answer = httpx.request(method, gateway.url + path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    assert mock_vllm.requests() == []


def test_the_description_names_every_route_and_the_bodies_of_those_that_take_one(
    gateway: ServedGateway,
) -> None:
    described = httpx.get(f"{gateway.url}/openapi.json").json()
    assert {path: next(iter(verbs)) for path, verbs in described["paths"].items()} == ROUTES
    for path, verb in ROUTES.items():
        if verb == "post":
            body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            assert body["schema"]["required"]
            assert body["schema"]["properties"]
    assert "$ref" not in str(described["paths"])


def test_the_interactive_docs_need_nothing_from_outside(gateway: ServedGateway) -> None:
    page = httpx.get(f"{gateway.url}/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert link.startswith("/"), f"{link} leaves this server"
        assert httpx.get(gateway.url + link).status_code == 200
