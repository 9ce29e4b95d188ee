"""The allowlist: what is not listed is refused, with the names that are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway import Call, Refusal, Tools
from gateway.domain.endpoints import CHAT
from policies.allowlist import Allowlist


def allowlist(**settings: Any) -> Allowlist:
    return Allowlist(Allowlist.Settings.model_validate(settings), Tools.fixed())


def a_call(model: str = "qwen-coder", route: str = CHAT.path, **body: Any) -> Call:
    return Call("c", CHAT, model, {"model": model, "messages": [], **body}, 0.0, 60.0, route=route)


@pytest.mark.parametrize("models", [["qwen-coder"], ["llama", "qwen-*"], ["*"]])
async def test_a_listed_model_passes_by_name_or_glob(models: list[str]) -> None:
    await allowlist(models=models).before(a_call())


@pytest.mark.parametrize("models", [["qwen"], ["Qwen-Coder"], ["llama-*"], []])
async def test_a_model_that_is_not_listed_is_refused(models: list[str]) -> None:
    with pytest.raises(Refusal) as refusal:
        await allowlist(models=models).before(a_call())
    assert (refusal.value.status, refusal.value.code) == (403, "model_not_allowed")
    assert f"allowed: {', '.join(models) or 'nothing'}." in refusal.value.public


async def test_a_route_that_is_not_listed_is_refused() -> None:
    policy = allowlist(routes=["/api/ai/*"])
    await policy.before(a_call(route="/api/ai/explain"))
    with pytest.raises(Refusal, match="'/v1/chat/completions' is not allowed"):
        await policy.before(a_call())


async def test_a_parameter_that_is_not_listed_is_refused_by_name() -> None:
    policy = allowlist(parameters=["temperature"])
    await policy.before(a_call(temperature=0, stream=True, stream_options={}))
    with pytest.raises(Refusal, match="'logit_bias' is not allowed here; allowed: temperature"):
        await policy.before(a_call(temperature=0, logit_bias={}))


async def test_an_empty_list_of_parameters_leaves_what_every_request_needs() -> None:
    policy = allowlist(parameters=[])
    await policy.before(a_call())
    with pytest.raises(Refusal, match="allowed: nothing"):
        await policy.before(a_call(user="me"))


async def test_a_list_that_is_left_out_allows_everything() -> None:
    await allowlist(models=["qwen-coder"]).before(a_call(route="/anything", whatever=1))


async def test_a_very_long_name_is_not_sent_back_whole() -> None:
    with pytest.raises(Refusal) as refusal:
        await allowlist(models=["m"]).before(a_call("x" * 10_000))
    assert len(refusal.value.public) < 200


def test_an_allowlist_of_nothing_at_all_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="list at least one of models, routes, parameters"):
        allowlist()
