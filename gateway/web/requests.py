"""GET /requests/{id}: what was decided for a call, for the team whose call it was."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.adapters.records import Records
from gateway.bootstrap import House
from gateway.domain.errors import InvalidRequest
from gateway.web.access import admit


class RecordNotFound(InvalidRequest):
    """No such call, or none of the caller's team: the answer does not say which."""

    status = 404
    code = "record_not_found"
    default_public = (
        "There is no record of a call with that id. The gateway keeps the newest calls "
        "(records.keep), each for its own team alone, and without records.redis_url each process "
        "only those that it served; a call shows up once it has ended."
    )


def routes(records: Records, current: Callable[[], House]) -> APIRouter:
    """`current` gives the house of now: keys change with a reload."""
    api = APIRouter(tags=["operations"])

    @api.get("/requests/{request_id}", summary="Why a call went as it did; newest first")
    async def explain(request: Request, request_id: str) -> Response:
        caller = admit(current(), request)
        found = await records.look(caller.team, request_id)
        if not found:
            raise RecordNotFound
        body = b'{"object":"list","data":[' + b",".join(found) + b"]}"
        headers_out = {"cache-control": "no-store"}
        return Response(body, media_type="application/json", headers=headers_out)

    return api
