"""GET /requests/{id}: what was decided for a call, for the team whose call it was and operators."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.adapters.records import document, encoded, newest
from gateway.bootstrap import Gateway
from gateway.domain.call import Caller, Outcome
from gateway.domain.errors import InvalidRequest
from gateway.domain.scope import Role
from gateway.flow.floor import phase_of, replica_of
from gateway.flow.meter import Meter
from gateway.web.access import admit
from gateway.web.siblings import Question, Siblings, heard

ASK = "records"
_YES = ("1", "true", "yes")
_QUERY = {
    "parameters": [
        {
            "name": "running",
            "in": "query",
            "description": "true: also what is known of a call that still runs",
            "schema": {"type": "boolean", "default": False},
        }
    ]
}


class RecordNotFound(InvalidRequest):
    """No such call, or none of the caller's team: the answer does not say which."""

    status = 404
    code = "record_not_found"
    default_public = (
        "There is no record of a call with that id. The gateway keeps the newest calls "
        "(records.keep), each for its own team and for operators, and forgets them with its "
        "process unless records.redis_url is set; a call shows up once it has ended, and before "
        "with ?running=true."
    )


class NoRecords(InvalidRequest):
    """This gateway writes nothing down."""

    status = 404
    code = "no_records"
    default_public = "This gateway keeps no records of calls: records.keep is 0."


def routes(gateway: Gateway, siblings: Siblings) -> APIRouter:
    """The one route."""
    api = APIRouter(tags=["operations"])

    @api.get(
        "/requests/{request_id}",
        summary="Why a call went as it did; newest first",
        openapi_extra=_QUERY,
    )
    async def explain(request: Request, request_id: str) -> Response:
        caller = admit(gateway.house, request)
        running = request.query_params.get("running", "").lower() in _YES
        found, silent = await _found(gateway, siblings, caller, (request_id, running))
        if not found:
            raise _nothing(gateway, silent)
        body = b'{"object":"list","data":[' + b",".join(found) + b"]}"
        headers_out = {"cache-control": "no-store"}
        return Response(body, media_type="application/json", headers=headers_out)

    return api


async def here(gateway: Gateway, question: Question) -> bytes:
    """What this process knows of an `id`, of the `team`, of any where that is None: a line for each
    record, with `running` of calls that run too."""
    request_id, team = str(question["id"]), question["team"]
    team = None if team is None else str(team)
    records = gateway.records
    found = records.find_any(request_id) if team is None else records.find(team, request_id)
    running = gateway.floor.find(request_id, team) if question["running"] else []
    return b"\n".join([*map(_still, running), *found])


async def _found(
    gateway: Gateway, siblings: Siblings, caller: Caller, asked: tuple[str, bool]
) -> tuple[list[bytes], int]:
    """The records of an id that the caller may see, and how many processes have said nothing."""
    request_id, running = asked
    every = Role.OPERATOR in caller.roles
    question = {"ask": ASK, "id": request_id, "running": running}
    question["team"] = None if every else caller.team
    own = await here(gateway, question)
    told, silent = heard(await siblings.ask(question))
    known = newest(lines.split(b"\n") for lines in (own, *told) if lines)
    teams = _teams(gateway, caller) if every else [caller.team]
    return await gateway.records.look(request_id, teams, known), silent


def _teams(gateway: Gateway, caller: Caller) -> list[str]:
    """Every team whose name is known here, the caller's own first."""
    names = [caller.team, Caller().team]
    names += (team.name for team in gateway.house.settings.teams)
    names += gateway.keys.snapshot.teams
    return list(dict.fromkeys(names))


def _nothing(gateway: Gateway, silent: int) -> InvalidRequest:
    if not gateway.records.kept:
        return NoRecords()
    if not silent or gateway.records.shared:
        return RecordNotFound()
    others = "1 worker process" if silent == 1 else f"{silent} worker processes"
    return RecordNotFound(f"{RecordNotFound.default_public} Now {others} could not be asked.")


def _still(meter: Meter) -> bytes:
    call, reply, now = meter.call, meter.reply, time.monotonic()
    outcome = Outcome(
        usage=(reply.usage or reply.progress()) if reply else None,
        replica=replica_of(meter),
        attempts=tuple(meter.attempts),
        seconds=now - call.received,
        queue_seconds=call.queue_seconds,
        first_token_seconds=reply.first_token_seconds if reply else None,
    )
    told = document(call, outcome, None, time.time() - outcome.seconds)
    told |= {"outcome": "running", "phase": phase_of(meter), "status": None}
    return encoded(told)
