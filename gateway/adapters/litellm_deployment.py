"""What we read of one deployment in LiteLLM's model_list: a Replica, its share, its order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from gateway.adapters.litellm_schema import provider_of
from gateway.domain.ports import Replica

# About the deployment, and in neither of LiteLLM's own lists of such fields.
_NOT_OF_THE_BODY: Final = frozenset(
    {"base_url", "extra_body", "extra_headers", "messages", "input", "prompt", "stream"}
)
# What weighs a deployment in LiteLLM's simple-shuffle: the first of these that any of them has.
_WEIGHTS: Final = ("weight", "rpm", "tpm")


def replica_of(deployment: Mapping[str, Any], not_of_the_body: Collection[str]) -> Replica:
    """The replica. Of its litellm_params, all but those named in `not_of_the_body` goes into the
    body of each request."""
    params = deployment["litellm_params"]
    _, upstream = provider_of(params["model"], params.get("custom_llm_provider"))
    about = {*_NOT_OF_THE_BODY, *not_of_the_body}
    body = {key: value for key, value in params.items() if value is not None and key not in about}
    headers = {**(params.get("headers") or {}), **(params.get("extra_headers") or {})}
    return Replica(
        id=deployment["model_info"]["id"],
        model=deployment["model_name"],
        upstream_model=upstream,
        base_url=str(params.get("api_base") or params.get("base_url") or "").rstrip("/"),
        api_key=params.get("api_key") or None,
        params={**body, **(params.get("extra_body") or {})},
        headers={key.lower(): str(value) for key, value in headers.items()},
        timeout=_seconds(params.get("timeout")),
        stream_timeout=_seconds(params.get("stream_timeout")),
        max_parallel=params.get("max_parallel_requests"),
    )


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | str) and value else None


def order_of(deployment: Mapping[str, Any]) -> int | None:
    """Its place in line: 1 is tried before 2."""
    order = deployment["litellm_params"].get("order")
    return order if order is not None else deployment["model_info"].get("order")


def metrics_of(deployment: Mapping[str, Any]) -> tuple[float, ...]:
    """Its weight, rpm and tpm; 0 for what it does not have."""
    params = deployment["litellm_params"]
    return tuple(float(params.get(name) or 0) for name in _WEIGHTS)


def shares(metrics: Sequence[Sequence[float]]) -> Sequence[float]:
    """How traffic is divided among deployments with these `metrics_of`, as LiteLLM divides it: by
    the first metric that any of them has; equally where there is none."""
    for values in zip(*metrics, strict=True):
        if max(values) > 0:
            return values
    return [1.0] * len(metrics)


def aliases_of(table: Mapping[str, Any] | None) -> tuple[dict[str, str], set[str]]:
    """Alias → model, of a model_group_alias; and those that are not to be listed."""
    names, hidden = {}, set()
    for alias, target in (table or {}).items():
        names[alias] = target["model"] if isinstance(target, dict) else target
        if isinstance(target, dict) and target.get("hidden"):
            hidden.add(alias)
    return names, hidden
