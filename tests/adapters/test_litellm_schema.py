"""The names that we wrote down are those of the installed LiteLLM."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway.adapters.litellm_schema import (
    FIXES,
    NOT_SETTINGS,
    OPENAI_WIRE,
    WITHOUT_EFFECT,
    LiteLLMParams,
    LiteLLMSettings,
    RouterSettings,
    Strategy,
    fix_for,
    provider_of,
)

Names = dict[str, set[str]]


@pytest.fixture(scope="module")
def names() -> Names:
    """What the installed LiteLLM says of itself."""
    # Here, not above: it takes seconds, and most tests do not need it. Through the adapter, which
    # sets what LiteLLM reads when it is imported.
    from gateway.adapters.litellm_router import litellm

    return {
        "arguments": set(litellm.Router.get_valid_args()),
        "strategies": set(litellm.router_utils.routing_groups.VALID_ROUTING_STRATEGIES),
        "providers": {one.value for one in litellm.types.utils.LlmProviders},
        "params": set(litellm.types.router.LiteLLM_Params.model_fields),
        "attributes": set(dir(litellm)),
    }


def test_router_settings_are_the_arguments_of_the_router(names: Names) -> None:
    ours = {*RouterSettings.model_fields, *NOT_SETTINGS}

    assert ours == names["arguments"]


def test_strategies_are_those_of_litellm_but_for_two_that_cannot_work_here(
    names: Names,
) -> None:
    assert {*get_args(Strategy), "provider-budget-routing", "lar1"} == names["strategies"]


def test_providers_on_our_wire_are_providers_of_litellm(names: Names) -> None:
    assert names["providers"] >= OPENAI_WIRE


def test_the_params_that_we_read_are_litellms(names: Names) -> None:
    # Its own code reads these from the extra ones; they are fields nowhere.
    extra = {"extra_headers", "headers", "max_parallel_requests", "order", "weight"}

    assert set(LiteLLMParams.model_fields) - extra <= names["params"]


def test_what_we_take_from_litellm_settings_is_an_attribute_of_the_module(
    names: Names,
) -> None:
    assert set(LiteLLMSettings.model_fields) <= names["attributes"]


def test_what_is_without_effect_is_a_router_setting() -> None:
    assert set(RouterSettings.model_fields) >= WITHOUT_EFFECT


@pytest.mark.parametrize(
    ("model", "custom", "expected"),
    [
        ("hosted_vllm/Qwen/Qwen3", None, ("hosted_vllm", "Qwen/Qwen3")),
        ("Qwen/Qwen3", "hosted_vllm", ("hosted_vllm", "Qwen/Qwen3")),
        ("hosted_vllm/Qwen3", "hosted_vllm", ("hosted_vllm", "Qwen3")),
        ("gpt-4o", None, ("", "gpt-4o")),
        ("hosted_vllm/", None, ("hosted_vllm", "")),
    ],
)
def test_a_model_is_a_provider_and_the_name_that_the_replica_knows(
    model: str, custom: str | None, expected: tuple[str, str]
) -> None:
    assert provider_of(model, custom) == expected


def test_the_fix_is_that_of_the_innermost_key_with_an_example() -> None:
    assert fix_for(("model_list", 0, "litellm_params", "api_base")) == FIXES["api_base"]
    assert fix_for(("model_list", 0, "litellm_params", "odd")) == FIXES["litellm_params"]
    assert fix_for(("router_settings",)) == FIXES["router_settings"]
    assert fix_for(("router_settings", "retry_policy", "X")) == (
        "see LiteLLM's documentation of retry_policy"
    )
    assert fix_for(("model_list", 3)) == FIXES["model_list"]
