"""For operators and their machines: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.bootstrap import Gateway


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether traffic should come here, and per model what it stands on."""

    ready: bool
    reason: str
    models: dict[str, Any] = field(default_factory=dict)


async def readiness(gateway: Gateway) -> Readiness:
    """Ready when at least one model has a replica in rotation, and the one server that tells its
    models, where there is one, still does."""
    models = {}
    for name in gateway.router.models():
        healthy = await gateway.router.healthy(name)
        models[name] = {"replicas": len(gateway.router.replicas(name)), "healthy": len(healthy)}
    in_rotation = any(row["healthy"] for row in models.values())
    reason = gateway.trouble or ("" if in_rotation else "no model has a replica in rotation")
    return Readiness(not reason, reason, models)


def routes(
    readiness: Callable[[], Awaitable[Readiness]], metrics: Callable[[str], tuple[bytes, str]]
) -> APIRouter:
    """`metrics` renders for an Accept header and says what it has rendered."""
    api = APIRouter(tags=["operations"])

    @api.get("/healthz", summary="This process runs")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @api.get("/readyz", summary="This gateway can answer: 200, or 503 with the reason")
    async def readyz() -> JSONResponse:
        state = await readiness()
        body = {"ready": state.ready, "reason": state.reason, "models": state.models}
        return JSONResponse(body, status_code=200 if state.ready else 503)

    @api.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics_(request: Request) -> Response:
        body, content_type = metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    return api
