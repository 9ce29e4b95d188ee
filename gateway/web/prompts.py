"""GET /prompts and POST /prompts/{name}/render: what there is, and what inputs become."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse

from gateway.adapters.prompt_bundle import Bundle
from gateway.adapters.prompt_lint import warnings
from gateway.adapters.prompt_preview import blocks, estimate, preview
from gateway.adapters.prompt_render import Loaded, render
from gateway.adapters.prompts import Family, PromptFiles
from gateway.bootstrap import Gateway
from gateway.domain.call import Caller
from gateway.domain.errors import InvalidRequest
from gateway.domain.keyring import NotPermitted
from gateway.domain.ports import Counted
from gateway.domain.prompt import Rendered, Wanted
from gateway.domain.scope import covers
from gateway.web.access import admit
from gateway.web.door import json_of


class PromptNotFound(InvalidRequest):
    """No prompt has that name."""

    status = 404
    code = "prompt_not_found"
    default_public = "There is no prompt of that name; GET /prompts lists them."


class InvalidRender(InvalidRequest):
    """A body whose fields do not fit."""

    status = 422
    code = "invalid_body"


class RenderRequest(BaseModel):
    """What to render. Without a version: what is in production."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: dict[str, Any]
    version: str | None = Field(default=None, max_length=100, examples=["label:working"])
    variant: str | None = Field(default=None, max_length=100)
    answer_language: str = Field(default="", max_length=40)
    model: str | None = Field(default=None, description="Whose tokens to count.")


_OTHER_MODEL = "This key is not good for that model; GET /v1/models lists those that it is for."
# No example: which inputs there are depends on the prompt.
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": RenderRequest.model_json_schema()}},
    }
}


def routes(gateway: Gateway) -> APIRouter:
    """All `/prompts` routes."""
    api = APIRouter(prefix="/prompts", tags=["prompts"])

    @api.get("", summary="All prompts: versions, labels, variants, languages, inputs")
    async def list_(request: Request) -> JSONResponse:
        admit(gateway.house, request)
        prompts = gateway.house.prompts
        rows = [_row(prompts.family(name)) for name in prompts.names()]
        return JSONResponse({"object": "list", "sha": prompts.sha, "data": rows})

    @api.post(
        "/{name:path}/render",
        summary="The messages that inputs become; no model is asked",
        openapi_extra=_BODY,
    )
    async def render_(request: Request, name: str) -> JSONResponse:
        caller = admit(gateway.house, request)
        if name not in gateway.house.prompts.names():
            raise PromptNotFound(param="name")
        asked = _read(json_of(request, await request.body()))
        return JSONResponse(await _shown(gateway, name, asked, caller))

    return api


def _read(body: dict[str, Any]) -> RenderRequest:
    try:
        return RenderRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise InvalidRender(f"{where}: {first['msg']}.", param=where or None) from None


def _row(family: Family) -> dict[str, Any]:
    served, described = family.served, family.served.default.prompt
    texts = {one.sha: one.version for one in (*family.texts.values(), family.working)}
    return {
        "name": served.name,
        "description": described.description,
        "served": {"version": served.version, "sha": served.sha},
        "working": {"version": family.working.version, "sha": family.working.sha},
        "versions": [{"version": version, "sha": sha} for sha, version in texts.items()],
        "labels": dict(family.labels),
        "variants": [{"id": one.id, "weight": one.weight} for one in served.front.variants],
        "locales": list(served.locales),
        "kind": served.front.output.kind,
        "model": described.model,
        "inputs": {name: _plain(spec) for name, spec in described.inputs.items()},
    }


def _plain(spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "fields": list(spec["fields"])}


async def _shown(
    gateway: Gateway, name: str, asked: RenderRequest, caller: Caller
) -> dict[str, Any]:
    house = gateway.house
    if asked.model is not None and not covers(caller.models, asked.model):
        raise NotPermitted(_OTHER_MODEL, param="model", code="model_not_permitted")
    prompts = house.prompts
    loaded, bundle = _chosen(prompts, name, asked)
    rendered: Rendered = await asyncio.to_thread(render, loaded, asked.inputs)
    found = blocks(loaded, rendered, asked.inputs)
    models = (asked.model, loaded.prompt.model, *gateway.router.models())
    model = next((one for one in models if one and covers(caller.models, one)), "")
    texts = list(found.values())
    if model:
        counted = await house.tokens.count_texts(model, texts)
    else:
        counted = [Counted(estimate(text), False) for text in texts]
    tokens = {key: one.tokens for key, one in zip(found, counted, strict=True)}
    shown = await asyncio.to_thread(preview, loaded, rendered, asked.inputs, tokens)
    lint = await asyncio.to_thread(warnings, bundle, estimate)
    rows = [
        {"code": one.code, "line": one.line, "column": one.column, "message": one.message}
        for one in lint
    ]
    exact = all(one.exact for one in counted)
    return {**shown.as_dict(), "model": model, "exact": exact, "lint": rows}


def _chosen(prompts: PromptFiles, name: str, asked: RenderRequest) -> tuple[Loaded, Bundle]:
    wanted = Wanted(asked.version, asked.variant, asked.answer_language)
    ref = prompts.choose(name, wanted).ref
    family = prompts.family(name)
    bundle = family.find(ref.sha) or family.working
    # A preview draws no lots: without a variant it is the plain text.
    variant = ref.variant if asked.variant is not None else ""
    return bundle.faces[ref.locale, variant], bundle
