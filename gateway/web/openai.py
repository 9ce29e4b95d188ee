"""OpenAI's API: one handler for every row of the endpoint table, and the list of models."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.bootstrap import House
from gateway.domain.body import fill
from gateway.domain.call import Call
from gateway.domain.endpoints import ENDPOINTS, Endpoint
from gateway.domain.ports import Router
from gateway.domain.scope import covers
from gateway.web.access import admit
from gateway.web.description import body_of
from gateway.web.door import call_of, json_of, priority_of, timeout_of
from gateway.web.relay import Relay
from gateway.web.timing import headers_of

_FIELDS: dict[str, dict[str, Any]] = {
    "messages": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["role", "content"],
            "properties": {"role": {"type": "string"}, "content": {}},
        },
    },
    "prompt": {"description": "A string or a list of strings."},
    "input": {"description": "A string or a list of strings."},
}
_EXAMPLES: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Say hello in one word."}],
    "prompt": "def add(a, b):",
    "input": "hello",
}


def _schema(endpoint: Endpoint) -> dict[str, Any]:
    """What /docs shows of a body; docs/reference/parameters.md has all that may be in one."""
    properties: dict[str, Any] = {
        "model": {"type": "string", "description": "One of GET /v1/models."}
    }
    properties |= {name: _FIELDS[name] for name in endpoint.required}
    if endpoint.streams:
        properties["stream"] = {"type": "boolean", "default": False}
        properties["max_tokens"] = {"type": "integer"}
    schema = {
        "type": "object",
        "required": ["model", *endpoint.required],
        "properties": properties,
        "additionalProperties": True,
    }
    example = {"model": "", **{name: _EXAMPLES[name] for name in endpoint.required}}
    if endpoint.streams:
        example["max_tokens"] = 64
    return body_of(schema, example)


def routes(current: Callable[[], House], router: Router) -> APIRouter:
    """All `/v1/*` routes. `current` gives the house of now, in which a request then stays."""
    api = APIRouter(tags=["OpenAI"])
    started = int(time.time())

    for endpoint in ENDPOINTS:
        _add(api, endpoint, current)

    @api.get("/v1/models", summary="The models that the key may ask for")
    async def models(request: Request) -> JSONResponse:
        caller = admit(current(), request)
        rows = [
            {"id": name, "object": "model", "created": started, "owned_by": "vllm-gateway"}
            for name in router.models()
            if covers(caller.models, name)
        ]
        return JSONResponse({"object": "list", "data": rows})

    return api


def _add(api: APIRouter, endpoint: Endpoint, current: Callable[[], House]) -> None:
    async def handle(request: Request) -> Response:
        raw = await request.body()
        house = current()
        call = call_of(request, endpoint, house.timeouts.total)

        async def prepare(call: Call) -> None:
            call.priority = priority_of(request, call.priority)
            body = json_of(request, raw, house.intake.json)
            fill(call, body, house.timeouts, timeout_of(request))
            await house.intake.check(call)

        return Relay(
            lambda: house.answers.answer(call, prepare),
            call.id,
            streams=lambda: call.stream,
            silence=house.streams.keepalive,
            headers=partial(headers_of, call),
        )

    api.add_api_route(
        endpoint.path,
        handle,
        methods=["POST"],
        name=endpoint.name,
        summary=f"OpenAI's {endpoint.name}, answered by a replica of the model",
        response_class=Response,
        openapi_extra=_schema(endpoint),
    )
