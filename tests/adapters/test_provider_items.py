"""Items of a model_list that LiteLLM translates for."""

from __future__ import annotations

from typing import Any

from gateway.adapters.provider_items import on_our_wire, provided, told_apart

GIVEN = {
    "model": "bedrock/claude",
    "aws_region_name": "eu-1",
    "aws_secret_access_key": "sk-up",
    "temperature": 0.5,
    "rpm": 9,
    "timeout": 3,
}


def item(**info: Any) -> dict[str, Any]:
    return {"model_name": "c", "litellm_params": GIVEN, "model_info": {"id": "x", **info}}


def test_a_replica_keeps_what_litellm_needs_and_shows_no_key() -> None:
    replica = provided(item())
    assert (replica.provider, replica.upstream_model, replica.base_url) == ("bedrock", "claude", "")
    assert set(replica.options) == {*GIVEN} - {"rpm", "timeout"}
    assert (replica.timeout, replica.window) == (3.0, None)
    assert "sk-up" not in repr(replica)
    assert provided(item(max_input_tokens=7)).window == 7
    assert not on_our_wire(item())


def test_the_router_gets_neither_provider_nor_key_and_all_that_it_chooses_by() -> None:
    ours = {"model_name": "v", "litellm_params": {"model": "hosted_vllm/v"}, "model_info": {}}
    facts = {"max_input_tokens": 9, "input_cost_per_token": 2e-6, "mode": "chat"}
    shown, providers = told_apart([item(), ours], lambda params: facts)
    assert shown[1] is ours
    assert shown[0]["litellm_params"] == {
        "model": "hosted_vllm/bedrock/claude",
        "api_base": "http://provider.invalid/v1",
        "rpm": 9,
        "timeout": 3,
        "input_cost_per_token": 2e-6,
    }
    assert shown[0]["model_info"] == {"id": "x", "max_input_tokens": 9}
    replica = provided(providers["x"])
    assert (replica.window, replica.options["aws_secret_access_key"]) == (9, "sk-up")
    assert "input_cost_per_token" not in replica.options


def test_what_an_item_says_itself_counts_more_than_the_list() -> None:
    given = {**item(max_input_tokens=7)}
    given["litellm_params"] = {**GIVEN, "input_cost_per_token": 1e-6}
    facts = {"max_input_tokens": 9, "input_cost_per_token": 2e-6}
    shown, providers = told_apart([given], lambda params: facts)
    assert shown[0]["litellm_params"]["input_cost_per_token"] == 1e-6
    assert provided(providers["x"]).window == 7
