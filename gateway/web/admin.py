"""For operators: which replicas there are, and taking one out of rotation by hand."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from gateway.bootstrap import Gateway
from gateway.domain.errors import GatewayError, InvalidRequest
from gateway.domain.standing import Standing
from gateway.web.access import admit
from gateway.web.door import json_of

_MOST_CHARS = 200
_BY_HAND = "by an operator"


class UnknownReplica(InvalidRequest):
    """No replica has that id."""

    status = 404
    code = "replica_not_found"
    default_public = "There is no replica of that id; GET /admin/replicas lists them."


class OneProcessOnly(GatewayError):
    """What one process is told the others would not know."""

    status = 409
    code = "several_workers"
    type = "invalid_request_error"
    default_public = (
        "This gateway runs several worker processes, and a drain would reach one of them only; "
        "run it with server.workers: 1, or take the replica out of litellm_config.yaml."
    )


def routes(gateway: Gateway) -> APIRouter:
    """All `/admin/*` routes."""
    api = APIRouter(prefix="/admin", tags=["operators"])

    @api.get("/replicas", summary="Each replica: its state and why, its load")
    async def replicas(request: Request) -> JSONResponse:
        admit(gateway.house, request)
        return JSONResponse({"replicas": await _rows(gateway)})

    @api.post("/replicas/{replica:path}/drain", summary="Nothing new to this replica")
    async def drain(request: Request, replica: str) -> JSONResponse:
        reason = await _reason(gateway, request)
        standing = _standing(gateway, replica)
        standing.drain(time.monotonic(), reason)
        _tell(gateway, request, "replica.drain", replica, {"reason": reason})
        return await _told(gateway, replica)

    @api.post("/replicas/{replica:path}/undrain", summary="Back in rotation")
    async def undrain(request: Request, replica: str) -> JSONResponse:
        reason = await _reason(gateway, request)
        _standing(gateway, replica).undrain()
        _tell(gateway, request, "replica.undrain", replica, {"reason": reason})
        return await _told(gateway, replica)

    return api


def _tell(
    gateway: Gateway, request: Request, action: str, replica: str, facts: dict[str, Any]
) -> None:
    gateway.audit.put(admit(gateway.house, request).key_id, action, replica, facts)


async def _reason(gateway: Gateway, request: Request) -> str:
    """Why, from the JSON body `{"reason": "..."}` (or `{}`), once the caller is admitted.

    JSON, because a web page could send any other type behind the operator's back."""
    admit(gateway.house, request)
    if gateway.house.settings.server.workers > 1:
        raise OneProcessOnly
    reason = json_of(request, await request.body() or b"{}").get("reason") or _BY_HAND
    if not isinstance(reason, str) or len(reason) > _MOST_CHARS or not reason.isprintable():
        raise InvalidRequest(
            f"'reason' must be one line of at most {_MOST_CHARS} characters.", param="reason"
        )
    return reason


def _standing(gateway: Gateway, replica: str) -> Standing:
    if all(one.id != replica for one in gateway.router.every()):
        raise UnknownReplica
    return gateway.states.of(replica)


async def _rows(gateway: Gateway) -> list[dict[str, Any]]:
    return [state.as_dict() for state in await gateway.states.look(gateway.router)]


async def _told(gateway: Gateway, replica: str) -> JSONResponse:
    """The replica as it is now; a log line and the metrics have the change too."""
    return JSONResponse(next(row for row in await _rows(gateway) if row["id"] == replica))
