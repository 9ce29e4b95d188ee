"""The FastAPI application: which middlewares, which routes, and how errors outside of them look."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from gateway.domain.errors import GatewayError, InvalidRequest, RouteNotFound
from gateway.settings import Settings
from gateway.web.access import table
from gateway.web.closing import Closing, ClosingDoor
from gateway.web.description import describe
from gateway.web.edge import BodyLimit, ErrorResponse, RequestId, Room
from gateway.web.patience import Patience
from gateway.web.proxies import Proxies

_DESCRIPTION = """
OpenAI's API (`/v1/*`) in front of the team's own vLLM replicas, and code assistance
(`/api/ai/*`). Where keys are configured, send `Authorization: Bearer <key>`.
"""


class MethodNotAllowed(RouteNotFound):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"
    default_public = "That route does not take this method; /docs lists what it takes."


def build_app(
    routers: list[APIRouter],
    *,
    version: str,
    settings: Settings,
    closing: Closing,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    models: Callable[[], tuple[str, ...]],
) -> FastAPI:
    """The application. `lifespan` opens what the routes stand on, and closes it at the end;
    `models` are those that /docs may name."""
    app = FastAPIOffline(
        title="vllm-gateway",
        description=_DESCRIPTION,
        version=version,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # Spans and metrics are our own (adapters/telemetry.py).
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        # The whole list, outermost first: pure ASGI, nothing that buffers.
        middleware=[
            Middleware(RequestId),
            *_proxies(settings.server.trusted_proxies),
            Middleware(Patience, rule=settings.identity),
            Middleware(Room),
            Middleware(ClosingDoor, closing=closing),
            Middleware(BodyLimit, limit=settings.server.max_body_bytes),
        ],
    )
    for router in routers:
        app.include_router(router)
    describe(app, models, table(settings.server))
    app.add_exception_handler(GatewayError, _gateway_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    return app


def _proxies(trusted: tuple[str, ...]) -> list[Middleware]:
    return [Middleware(Proxies, trusted=trusted)] if trusted else []


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)  # registered for nothing else
    return ErrorResponse(error, request.scope["state"]["request_id"])


async def _http_error(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: an unknown path, or a method that a path does not take."""
    status = getattr(error, "status_code", 500)
    detail = f"{request.method} {request.url.path}: {status}"
    known: dict[int, type[GatewayError]] = {404: RouteNotFound, 405: MethodNotAllowed}
    fallback = InvalidRequest if status < 500 else GatewayError
    refusal = known.get(status, fallback)(detail=detail)
    refusal.status = status
    return await _gateway_error(request, refusal)


async def _validation_error(request: Request, error: Exception) -> Response:
    """A body that does not fit its schema: each field with what is wrong with it."""
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    found = [
        f"{'.'.join(str(step) for step in item['loc'] if step != 'body') or 'the body'}: "
        f"{item['msg']}"
        for item in error.errors()
    ]
    return await _gateway_error(request, UnprocessableBody("; ".join(found[:5]) + "."))


class UnprocessableBody(InvalidRequest):
    """A JSON body whose fields do not fit the route's schema."""

    status = 422
    code = "invalid_body"
