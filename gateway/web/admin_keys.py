"""For operators: keys and teams of the database, /admin/keys and /admin/teams."""

from __future__ import annotations

import time
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse

from gateway.adapters.key_rows import fixed_row, stored_row
from gateway.adapters.key_store import InvalidKey, KeyStore
from gateway.adapters.stored_keys import StoredKey
from gateway.bootstrap import Gateway
from gateway.domain.call import Caller
from gateway.domain.errors import GatewayError
from gateway.settings.section import Section, Wait
from gateway.settings.teams import Lifetime, Scope
from gateway.web.access import admit
from gateway.web.door import json_of

DAY = 86_400.0

Asked = TypeVar("Asked", bound=BaseModel)


class NoDatabase(GatewayError):
    """This gateway keeps nothing."""

    status = 409
    code = "no_database"
    type = "invalid_request_error"
    default_public = (
        "This gateway has no database; set state.folder or state.database_url, or write keys into "
        "teams.yaml: `gateway keys create --team NAME --print`."
    )


class KeyRequest(Lifetime):
    """A key to make. Dates are days, or times with their zone."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    team: str
    id: str = ""
    note: str = ""


class RotateRequest(Section):
    """How long the old key still works, in seconds."""

    overlap_s: Wait = Field(default=DAY, le=366 * DAY)


def _body(required: list[str], **fields: str) -> dict[str, Any]:
    """What /docs shows of a body. No example: what there is depends on the house."""
    kinds: dict[str, dict[str, Any]] = {
        "[": {"type": "array", "items": {"type": "string"}},
        "n": {"type": "number"},
    }
    properties = {
        name: {
            **kinds.get(text[0], {"type": "string"}),
            "description": text.removeprefix("[ ").removeprefix("n "),
        }
        for name, text in fields.items()
    }
    schema = {"type": "object", "required": required, "properties": properties}
    content = {"application/json": {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


_SCOPE = {
    "models": "[ names or globs; none: all",
    "routes": "[ paths or globs; none: all",
    "roles": "[ of user, author, operator",
}
_DATES = {"not_before": "a day, or a time with its zone", "expires": "its last day, or a time"}
_BODIES: dict[type[BaseModel], dict[str, Any]] = {
    KeyRequest: _body(["team"], team="its team", id="its name", note="why", **_SCOPE, **_DATES),
    RotateRequest: _body([], overlap_s="n seconds that the old one works on"),
    Scope: _body([], **_SCOPE),
}


def routes(gateway: Gateway) -> APIRouter:
    """All routes of keys and teams."""
    api = APIRouter(prefix="/admin", tags=["operators"])
    _add_keys(api, gateway)
    _add_changes(api, gateway)
    _add_teams(api, gateway)
    return api


def _add_keys(api: APIRouter, gateway: Gateway) -> None:
    @api.get("/keys", summary="Every key: whose, for what, until when; never the key")
    async def keys(request: Request) -> JSONResponse:
        admit(gateway.house, request)
        rows = [fixed_row(team, key) for team in gateway.house.settings.teams for key in team.keys]
        if gateway.database is not None:
            stored = await _store(gateway).every()
            rows += [stored_row(key) for key in stored.keys]
        return _answer({"object": "list", "data": rows})

    @api.post(
        "/keys",
        summary="A new key, shown this once",
        openapi_extra=_BODIES[KeyRequest],
    )
    async def create(request: Request) -> JSONResponse:
        caller = admit(gateway.house, request)
        asked = _read(KeyRequest, json_of(request, await request.body()))
        scope = Lifetime(**{word: getattr(asked, word) for word in Lifetime.model_fields})
        store = _store(gateway)
        made = await store.create(
            _actor(caller), asked.team, scope, key_id=asked.id, note=asked.note
        )
        return await _shown(gateway, made)


def _add_changes(api: APIRouter, gateway: Gateway) -> None:
    @api.post(
        "/keys/{key_id}/rotate",
        summary="A key in the place of another, which works for `overlap_s` more",
        openapi_extra=_BODIES[RotateRequest],
    )
    async def rotate(request: Request, key_id: str) -> JSONResponse:
        caller = admit(gateway.house, request)
        asked = _read(RotateRequest, json_of(request, await request.body() or b"{}"))
        made = await _store(gateway).rotate(_actor(caller), key_id, asked.overlap_s)
        return await _shown(gateway, made)

    @api.delete("/keys/{key_id}", summary="Revokes a key, everywhere within a second")
    async def revoke(request: Request, key_id: str) -> JSONResponse:
        caller = admit(gateway.house, request)
        row = await _store(gateway).revoke(_actor(caller), key_id)
        await gateway.keys.refresh()
        return _answer(stored_row(row))


def _add_teams(api: APIRouter, gateway: Gateway) -> None:
    @api.get("/teams", summary="Every team, and what its keys may do at most")
    async def teams(request: Request) -> JSONResponse:
        admit(gateway.house, request)
        rows = [_team_row(team.name, team, "config") for team in gateway.house.settings.teams]
        if gateway.database is not None:
            stored = await _store(gateway).every()
            rows += [_team_row(name, one, "database") for name, one in stored.teams.items()]
        return _answer({"object": "list", "data": rows})

    @api.put(
        "/teams/{name}",
        summary="Makes a team, or changes what its keys may do",
        openapi_extra=_BODIES[Scope],
    )
    async def put(request: Request, name: str) -> JSONResponse:
        caller = admit(gateway.house, request)
        scope = _read(Scope, json_of(request, await request.body()))
        await _store(gateway).put_team(_actor(caller), name, scope)
        await gateway.keys.refresh()
        return _answer(_team_row(name, scope, "database"))

    @api.delete("/teams/{name}", summary="Forgets a team that has no keys left")
    async def forget(request: Request, name: str) -> JSONResponse:
        caller = admit(gateway.house, request)
        await _store(gateway).delete_team(_actor(caller), name)
        await gateway.keys.refresh()
        return _answer({"name": name, "deleted": True})


def _store(gateway: Gateway) -> KeyStore:
    if gateway.database is None:
        raise NoDatabase
    return KeyStore(gateway.database, gateway.house.settings.teams, time.time)


def _actor(caller: Caller) -> str:
    return caller.user or caller.key_id


async def _shown(gateway: Gateway, made: tuple[str, StoredKey]) -> JSONResponse:
    await gateway.keys.refresh()
    return _answer({**stored_row(made[1]), "key": made[0]})


def _answer(body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, headers={"cache-control": "no-store"})


def _read(model: type[Asked], body: dict[str, Any]) -> Asked:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        said = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidKey(f"{where or 'the body'}: {said}.", param=where or None) from None


def _team_row(name: str, scope: Scope, source: str) -> dict[str, Any]:
    shown = scope.model_dump(mode="json", include=set(Scope.model_fields))
    return {"name": name, "source": source, **shown}
