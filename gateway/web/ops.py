"""For operators and their machines: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.adapters.replica_states import ReplicaState
from gateway.bootstrap import Gateway, House
from gateway.domain.document import Problem
from gateway.domain.redaction import redact_text
from gateway.domain.standing import State
from gateway.reload import ConfigState, Reload
from gateway.web.access import admit
from gateway.web.closing import Closing

# What /readyz says of a broken configuration; the log has all of it.
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether traffic should come here, per model what it stands on, which configuration holds,
    where decision records, keys and the ledger are kept, where limits count (no reason to send it
    away)."""

    ready: bool
    reason: str
    models: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    records: str = "memory"
    counters: str = "memory"
    state: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=dict)


async def readiness(gateway: Gateway) -> Readiness:
    """Ready when at least one model has a replica in rotation, and the one server that tells its
    models, where there is one, still does."""
    rows = {state.id: _row(state) for state in await gateway.states.look(gateway.router)}
    models = {}
    for name in gateway.router.models():
        members = [one.id for one in gateway.router.replicas(name)]
        states = [rows[one] for one in members if one in rows]
        healthy = sum(State(row["state"]).up for row in states)
        models[name] = {"replicas": len(members), "healthy": healthy, "states": states}
    in_rotation = any(row["healthy"] for row in models.values())
    reason = gateway.trouble or ("" if in_rotation else "no model has a replica in rotation")
    records, counters, state = gateway.records.place, gateway.counting.place, gateway.keeping.state
    return Readiness(not reason, reason, models, records=records, counters=counters, state=state)


async def told(gateway: Gateway, reload: Reload, closing: Closing) -> Readiness:
    """What /readyz says: not ready either once somebody has told us to stop. A broken
    configuration, in whose place the last good one stays, is no reason to send traffic away."""
    state = await readiness(gateway)
    if closing.begun:
        state = replace(state, ready=False, reason="shutting down")
    prompts = prompts_of(gateway.house, reload.state)
    return replace(state, config=config_of(reload.state), prompts=prompts)


def _row(state: ReplicaState) -> dict[str, Any]:
    """What anybody may know of a replica; GET /admin/replicas has the rest."""
    shown = ("id", "state", "why", "seconds", "last_fault", "last_fault_seconds")
    every = state.as_dict()
    return {name: every[name] for name in shown}


def config_of(state: ConfigState) -> dict[str, Any]:
    """The configuration's part of /readyz. Anybody may read it: places of problems and what is
    wrong there, never a folder."""
    return {
        "ok": not state.problems,
        "sha": state.sha,
        "loaded_at": datetime.fromtimestamp(state.loaded_at, UTC).isoformat(timespec="seconds"),
        "problems": [_line(problem) for problem in state.problems[:_MOST_PROBLEMS]],
        "waiting_for_restart": list(state.waiting),
    }


def prompts_of(house: House, state: ConfigState) -> dict[str, Any]:
    """The prompts' part of /readyz: which set is served, and whether newer files are broken."""
    folder = str(house.settings.paths.prompts_dir)
    broken = [one for one in state.problems if one.file.startswith(folder)]
    names = house.prompts.names()
    return {"ok": not broken, "sha": house.prompts.sha, "count": len(names)}


def _line(problem: Problem) -> str:
    line = str(replace(problem, file=Path(problem.file).name, fix=""))
    return redact_text(line.replace(problem.file, Path(problem.file).name))


def routes(
    readiness: Callable[[], Awaitable[Readiness]],
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]],
    house: Callable[[], House],
) -> APIRouter:
    """`metrics` renders for an Accept header and says what it has rendered; `house` is the one of
    this moment."""
    api = APIRouter(tags=["operations"])

    @api.get("/healthz", summary="This process runs")
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @api.get("/readyz", summary="This gateway can answer: 200, or 503 with the reason")
    async def readyz() -> JSONResponse:
        state = await readiness()
        return JSONResponse(asdict(state), status_code=200 if state.ready else 503)

    @api.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics_(request: Request) -> Response:
        admit(house(), request)
        body, content_type = await metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    return api
