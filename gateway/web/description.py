"""What /docs shows and "Try it out" sends: the OpenAPI document, with a model that is served."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from gateway.web import access

# Both ways to show a key; `{}` since none is needed where none are configured.
_KEYS: dict[str, Any] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"x-api-key": []}]


def body_of(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    """A route's part of the document: a JSON body of `schema`. `example` is sent as it stands but
    for `model`, which `describe` sets to one that is served."""
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def describe(
    app: FastAPI, models: Callable[[], tuple[str, ...]], routes: access.Table = access.ROUTES
) -> None:
    """Let `app` describe itself so that its examples work here: keys can be given, and each names
    the first of `models` at the time that it is asked. Each of `routes` says whom it is for."""
    told = [
        (method, re.sub(r":path\}", "}", path), access.told((method, path), routes))
        for method, path in routes
    ]
    written = app.openapi

    def described() -> dict[str, Any]:
        document = written()
        document.setdefault("components", {})["securitySchemes"] = _KEYS
        document["security"] = _SECURITY
        for method, path, sentence in told:
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is not None:
                operation["description"] = sentence
        served = models()
        for example in _examples(document) if served else ():
            if "model" in example:
                example["model"] = served[0]
        return document

    app.openapi = described  # type: ignore[method-assign]


def _examples(document: dict[str, Any]) -> list[dict[str, Any]]:
    bodies = [
        operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for path in document["paths"].values()
        for operation in path.values()
    ]
    return [body["example"] for body in bodies if "example" in body]
