"""GET /admin/live, for operators: what goes on now in all worker processes, made when asked for."""

from __future__ import annotations

import os
import time
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.bootstrap import Gateway
from gateway.domain.live import Live, LiveWorker, joined
from gateway.web.access import admit
from gateway.web.siblings import Siblings, heard

ASK = "live"
# So long after the last look the replicas are asked for their load no more.
_ATTENDED_SECONDS = 15.0


def routes(gateway: Gateway, siblings: Siblings, version: str) -> APIRouter:
    """The one route."""
    api = APIRouter(prefix="/admin", tags=["operators"])

    @api.get("/live", summary="Replicas, queues, rates, teams and the slowest calls, as of now")
    async def live(request: Request) -> Response:
        admit(gateway.house, request)
        gateway.states.attend(_ATTENDED_SECONDS)
        told, silent = heard(await siblings.ask({"ask": ASK}))
        own = await look(gateway, version)
        body = orjson.dumps(joined(own, (orjson.loads(one) for one in told), silent))
        return Response(body, media_type="application/json", headers={"cache-control": "no-store"})

    return api


async def look(gateway: Gateway, version: str) -> Live:
    """This process as it is now."""
    seen = gateway.floor.seen()
    replicas: list[dict[str, Any]] = [
        state.as_dict() for state in await gateway.states.look(gateway.router)
    ]
    worker = LiveWorker(
        pid=os.getpid(),
        uptime=round(time.monotonic() - gateway.floor.opened, 3),
        counts=seen.counts,
        teams=seen.by_team,
    )
    return Live(
        at=round(time.time(), 3),
        version=version,
        workers=[worker],
        silent=0,
        replicas=replicas,
        queues=gateway.admission.queues(),
        phases=seen.phases,
        slowest=seen.slowest,
        teams=seen.teams,
    )
