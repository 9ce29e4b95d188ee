"""What /docs shows: examples that work as they stand, and a place to give a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway.domain.actions import ACTIONS
from gateway.settings import KeyHash, Settings, Team, hash_key
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from gateway.web.description import body_of, describe


def examples(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By path, of every route whose body has a schema of ours."""
    bodies = {
        path: verbs["post"]["requestBody"]["content"]["application/json"]
        for path, verbs in document["paths"].items()
        if "requestBody" in verbs.get("post", {})
    }
    return {path: body["example"] for path, body in bodies.items() if "example" in body}


def test_every_example_is_answered_as_it_stands(
    mock_vllm_factory: Callable[..., MockVLLM],
) -> None:
    mock = mock_vllm_factory(model="qwen/coder")
    with ServedGateway(fleet_on([mock.base_url], model="qwen/coder")) as gateway:
        found = examples(httpx.get(f"{gateway.url}/openapi.json").json())
        # These make keys, which is tested where they are.
        found = {path: one for path, one in found.items() if not path.startswith("/admin/")}
        assert set(found) == {
            "/v1/chat/completions",
            "/v1/completions",
            "/v1/embeddings",
            "/api/ai/context/preview",
            *(f"/api/ai/{action.name}" for action in ACTIONS),
            *(f"/api/ai/{action.name}/stream" for action in ACTIONS),
        }
        for path, example in found.items():
            answer = httpx.post(gateway.url + path, json=example)
            assert answer.status_code == 200, (path, answer.text)


def test_a_key_given_as_described_is_accepted(mock_vllm: MockVLLM) -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-gw-right")),))
    settings = Settings(teams=(team,))
    with ServedGateway(fleet_on([mock_vllm.base_url], model="mock"), settings) as gateway:
        document = httpx.get(f"{gateway.url}/openapi.json").json()
        schemes = document["components"]["securitySchemes"]
        assert {name for one in document["security"] for name in one} == set(schemes)
        assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
        asked = examples(document)["/v1/chat/completions"]
        url = f"{gateway.url}/v1/chat/completions"
        assert httpx.post(url, json=asked).status_code == 401
        header = {schemes["x-api-key"]["name"]: "sk-gw-right"}
        assert httpx.post(url, json=asked, headers=header).status_code == 200


@pytest.mark.parametrize(("served", "named"), [((), ""), (("a", "b"), "a")])
def test_an_example_names_the_first_model_of_now(served: tuple[str, ...], named: str) -> None:
    app, models = FastAPI(), [()]
    app.add_api_route(
        "/x", lambda: None, methods=["POST"], openapi_extra=body_of({}, {"model": ""})
    )
    describe(app, lambda: models[0])
    assert examples(app.openapi())["/x"] == {"model": ""}
    models[0] = served  # type: ignore[call-overload]
    assert examples(app.openapi())["/x"] == {"model": named}
