"""Items of a model_list that LiteLLM translates for: as replicas, and as its Router gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.adapters.litellm_schema import OPENAI_WIRE, provider_of
from gateway.domain.ports import Replica

# About choosing a deployment, and nothing that LiteLLM needs to ask a provider.
_OF_THE_ROUTER: Final = frozenset(
    {
        *("order", "rpm", "tpm", "weight", "tags", "max_parallel_requests", "cooldown_time"),
        *("timeout", "stream_timeout", "num_retries", "max_retries", "stream"),
    }
)
# What cost-based routing compares.
_PRICES: Final = ("input_cost_per_token", "output_cost_per_token")
# Nobody ever asks it: the name is one that no network has (RFC 2606).
_NOWHERE: Final = "http://provider.invalid/v1"


def on_our_wire(item: Mapping[str, Any]) -> bool:
    """Whether it speaks OpenAI's API, so that nobody needs to translate."""
    params = item["litellm_params"]
    return provider_of(params["model"], params.get("custom_llm_provider"))[0] in OPENAI_WIRE


def provided(item: Mapping[str, Any]) -> Replica:
    """The replica that an item describes; its window is model_info.max_input_tokens."""
    params = item["litellm_params"]
    provider, upstream = provider_of(params["model"], params.get("custom_llm_provider"))
    window = item["model_info"].get("max_input_tokens")
    ours = _OF_THE_ROUTER.union(_PRICES)
    return Replica(
        id=item["model_info"]["id"],
        model=item["model_name"],
        upstream_model=upstream,
        base_url="",
        timeout=seconds(params.get("timeout")),
        stream_timeout=seconds(params.get("stream_timeout")),
        max_parallel=params.get("max_parallel_requests"),
        provider=provider,
        options={k: v for k, v in params.items() if v is not None and k not in ours},
        window=window if isinstance(window, int) else None,
    )


def told_apart(
    items: Sequence[dict[str, Any]], facts: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """What LiteLLM's Router gets to see of a model_list whose items have ids; and by id, whole,
    the items that LiteLLM translates for. `facts` is what its list of models says of some
    litellm_params: it counts where an item itself is silent."""
    providers = {
        item["model_info"]["id"]: _known(item, facts(item["litellm_params"]))
        for item in items
        if not on_our_wire(item)
    }
    shown = [
        item if on_our_wire(item) else _disguised(providers[item["model_info"]["id"]])
        for item in items
    ]
    return shown, providers


def _known(item: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    listed = {name: facts[name] for name in _PRICES if facts.get(name) is not None}
    window = facts.get("max_input_tokens")
    told = {} if window is None else {"max_input_tokens": window}
    return {
        **item,
        "litellm_params": {**listed, **item["litellm_params"]},
        "model_info": {**told, **item["model_info"]},
    }


def _disguised(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item for LiteLLM's Router, which only chooses. Given a provider's name, it would look
    the models of some up on the network, and log in to others, before anybody asks."""
    params = item["litellm_params"]
    kept = {k: v for k, v in params.items() if k in _OF_THE_ROUTER or k in _PRICES}
    name = f"hosted_vllm/{params['model']}"
    return {**item, "litellm_params": {**kept, "model": name, "api_base": _NOWHERE}}


def seconds(value: object) -> float | None:
    """A time limit as a file may have it; None where it has none."""
    return float(value) if isinstance(value, int | float | str) and value else None
