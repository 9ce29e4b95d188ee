"""What we read of LiteLLM's model_list: replicas, names, shares, orders."""

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


class Deployments:
    """The deployments of one configuration, by the names that they go by. Immutable.

    `model_list` is as LiteLLM's Router keeps it, each item with an id; `about` names the
    litellm_params that are no part of a request's body.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] = (),
        aliases: Mapping[str, Any] | None = None,
        about: Collection[str] = (),
    ) -> None:
        self.items = {item["model_info"]["id"]: item for item in model_list}
        self.by_id = {key: replica_of(item, about) for key, item in self.items.items()}
        groups: dict[str, list[Replica]] = {}
        for replica in self.by_id.values():
            groups.setdefault(replica.model, []).append(replica)
        self._groups = {name: tuple(members) for name, members in groups.items()}
        self._orders = {
            name: {order for one in members if (order := order_of(self.items[one.id])) is not None}
            for name, members in groups.items()
        }
        self._aliases, hidden = _aliases(aliases)
        shown = (name for name in self._aliases if name not in hidden)
        self.names = tuple(dict.fromkeys((*groups, *shown)))

    def group(self, model: str) -> str:
        """The model that a name stands for."""
        return self._aliases.get(model, model)

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """All of a model; empty when there is no such model."""
        return self._groups.get(self.group(model), ())

    def later_orders(self, model: str) -> list[int]:
        """The orders that come after the first."""
        return sorted(self._orders.get(self.group(model), ()))[1:]

    def shares(self, pool: Sequence[Replica]) -> Sequence[float]:
        """How LiteLLM divides traffic among these: by the first of weight, rpm and tpm that any
        of them has, and nothing to those without; equally where there is none."""
        for metric in _WEIGHTS:
            values = [self._metric(replica.id, metric) for replica in pool]
            if max(values) > 0:
                return values
        return [1.0] * len(pool)

    def _metric(self, key: str, name: str) -> float:
        # One that another configuration took away meanwhile weighs nothing.
        item = self.items.get(key)
        return float(item["litellm_params"].get(name) or 0) if item else 0.0


def replica_of(item: Mapping[str, Any], about: Collection[str]) -> Replica:
    """The replica that an item of model_list describes."""
    params = item["litellm_params"]
    _, upstream = provider_of(params["model"], params.get("custom_llm_provider"))
    kept_out = {*_NOT_OF_THE_BODY, *about}
    body = {k: value for k, value in params.items() if value is not None and k not in kept_out}
    headers = {**(params.get("headers") or {}), **(params.get("extra_headers") or {})}
    return Replica(
        id=item["model_info"]["id"],
        model=item["model_name"],
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


def order_of(item: Mapping[str, Any]) -> int | None:
    """Its place in line: 1 is tried before 2."""
    order: int | None = item["litellm_params"].get("order")
    return item["model_info"].get("order") if order is None else order


def _aliases(table: Mapping[str, Any] | None) -> tuple[dict[str, str], set[str]]:
    """Alias → model, of a model_group_alias; and those that are not to be listed."""
    names, hidden = {}, set()
    for alias, target in (table or {}).items():
        names[alias] = target["model"] if isinstance(target, dict) else target
        if isinstance(target, dict) and target.get("hidden"):
            hidden.add(alias)
    return names, hidden
