"""What every request passes first: ids, limits of bytes, and the last net."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from gateway.domain.errors import GatewayError, LLMError, OutOfDescriptors, Overloaded, Unauthorized
from gateway.web.edge import BodyLimit, ErrorResponse, RequestId, error_headers


async def echo(request: Request) -> Response:
    return PlainTextResponse(f"{len(await request.body())} {request.scope['state']['request_id']}")


async def broken(request: Request) -> Response:
    raise ValueError("secret detail at 10.0.0.7")


async def unread(request: Request) -> Response:
    return PlainTextResponse("never looked at the body")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[Route(f"/{one.__name__}", one, methods=["POST"]) for one in (echo, broken, unread)],
        middleware=[Middleware(RequestId), Middleware(BodyLimit, limit=2**20)],
    )
    # Starlette's own net would answer first, and raise afterwards for the server's log.
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def test_an_answer_carries_the_id_that_the_call_has(http: httpx.AsyncClient) -> None:
    answer = await http.post("/echo", content=b"abc")
    assert answer.text == f"3 {answer.headers['x-request-id']}"
    kept = await http.post("/echo", headers={"x-request-id": "mine-1"})
    assert kept.headers["x-request-id"] == "mine-1"


async def test_a_body_that_says_it_is_too_long_is_refused_unread(http: httpx.AsyncClient) -> None:
    answer = await http.post("/echo", content=b"x" * (2**20 + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert "1 MiB" in answer.json()["error"]["message"]
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


async def test_a_body_that_hides_its_length_is_refused_when_it_passes_the_limit(
    http: httpx.AsyncClient,
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 2**16

    answer = await http.post("/echo", content=chunks())
    assert answer.status_code == 413


async def test_a_body_of_exactly_the_limit_passes(http: httpx.AsyncClient) -> None:
    assert (await http.post("/echo", content=b"x" * 2**20)).status_code == 200


async def test_what_nobody_caught_is_a_500_that_says_nothing(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "gateway.web"):
        answer = await http.post("/broken", headers={"x-request-id": "r1"})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    error = answer.json()["error"]
    assert (error["code"], error["request_id"]) == ("internal_error", "r1")
    assert answer.headers["x-request-id"] == "r1"
    (record,) = caplog.records
    assert record.exc_info is not None
    assert "secret detail at 10.0.0.7" in str(record.exc_info[1])
    assert vars(record)["request_id"] == "r1"


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (LLMError(retry_after=0.2), (b"retry-after", b"1")),
        (Overloaded(retry_after=7.2), (b"retry-after", b"8")),
        (Unauthorized(), (b"www-authenticate", b"Bearer")),
        (OutOfDescriptors(), (b"connection", b"close")),
        (GatewayError(), (b"content-type", b"application/json")),
    ],
)
def test_an_error_says_when_to_come_back_and_how_to_authenticate(
    error: GatewayError, header: tuple[bytes, bytes]
) -> None:
    assert header in error_headers(error)


def test_an_error_response_has_its_status_length_and_shape() -> None:
    response = ErrorResponse(LLMError(retry_after=1.0), "req-1")
    assert response.status_code == 503
    assert dict(response.raw_headers)[b"content-length"] == b"%d" % len(response.body)
    assert b'"request_id":"req-1"' in response.body
