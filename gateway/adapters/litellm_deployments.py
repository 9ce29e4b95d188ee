"""What we read of LiteLLM's model_list: replicas, names, shares, orders, strategies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.adapters.litellm_schema import provider_of
from gateway.adapters.provider_items import provided, seconds
from gateway.domain.call import Usage
from gateway.domain.ports import Replica

# About the deployment, and in neither of LiteLLM's own lists of such fields.
_NOT_OF_THE_BODY: Final = frozenset(
    {"base_url", "extra_body", "extra_headers", "messages", "input", "prompt", "stream"}
)
# The strategy that is ours, and what LiteLLM is told instead.
_OURS: Final = "prefix_affinity"
_VLLM: Final = ("hosted_vllm", "vllm")
_DEFAULT: Final = "simple-shuffle"
# What weighs a deployment in LiteLLM's simple-shuffle: the first of these that any of them has.
_WEIGHTS: Final = ("weight", "rpm", "tpm")


class Deployments:
    """The deployments of one configuration, by the names that they go by. Immutable.

    `model_list` is as LiteLLM's Router keeps it, each item with an id; `about` names the
    litellm_params that are no part of a request's body; `providers` are, by id, the items that
    LiteLLM translates for, as the file has them.
    """

    def __init__(
        self,
        model_list: Sequence[Mapping[str, Any]] = (),
        aliases: Mapping[str, Any] | None = None,
        about: Collection[str] = (),
        providers: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self.items = {item["model_info"]["id"]: item for item in model_list}
        self.by_id = {
            key: provided(providers[key]) if key in providers else replica_of(item, about)
            for key, item in self.items.items()
        }
        groups: dict[str, list[Replica]] = {}
        for replica in self.by_id.values():
            groups.setdefault(replica.model, []).append(replica)
        self._groups = {name: tuple(members) for name, members in groups.items()}
        self._orders = {
            name: {order for one in members if (order := order_of(self.items[one.id])) is not None}
            for name, members in groups.items()
        }
        self._weights = [found for metric in _WEIGHTS if (found := self._metric(metric))]
        self._aliases, hidden = _aliases(aliases)
        shown = (name for name in self._aliases if name not in hidden)
        self.names = tuple(dict.fromkeys((*groups, *shown)))

    def _metric(self, name: str) -> dict[str, float]:
        """Of the replicas that have any."""
        given = {key: item["litellm_params"].get(name) for key, item in self.items.items()}
        return {key: float(value) for key, value in given.items() if value}

    def group(self, model: str) -> str:
        """The model that a name stands for."""
        return self._aliases.get(model, model)

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """All of a model; empty when there is no such model."""
        return self._groups.get(self.group(model), ())

    def orders(self, model: str) -> Sequence[int | None]:
        """The orders of its replicas, first to last; only None where no replica has one."""
        return sorted(self._orders.get(self.group(model), ())) or (None,)

    def order(self, replica: Replica) -> int | None:
        """Its own order."""
        item = self.items.get(replica.id)
        return order_of(item) if item else None

    def tagged(self, everywhere: bool) -> bool:
        """Whether tags choose among replicas: everywhere, or where a model_info says so."""
        return everywhere or any(
            item["model_info"].get("enable_tag_filtering") for item in self.items.values()
        )

    def shares(self, pool: Sequence[Replica]) -> Sequence[float]:
        """How LiteLLM divides traffic among these: by the first of weight, rpm and tpm that any
        of them has, and nothing to those without; equally where there is none."""
        for table in self._weights:
            # One that another configuration took away meanwhile weighs nothing.
            values = [table.get(replica.id, 0.0) for replica in pool]
            if max(values) > 0:
                return values
        return [1.0] * len(pool)

    def callback(self, replica: Replica) -> dict[str, Any]:
        """The arguments that LiteLLM's callbacks read of a finished call."""
        item = self.items[replica.id]
        metadata = {"model_group": replica.model, "deployment": item["litellm_params"]["model"]}
        params = {
            "metadata": metadata,
            "litellm_metadata": metadata,
            "model_info": item["model_info"],
            "cooldown_time": item["litellm_params"].get("cooldown_time"),
        }
        return {"litellm_params": params, "call_type": "acompletion"}

    def logging_object(self, replica: Replica, usage: Usage | None) -> dict[str, Any]:
        """As much of LiteLLM's standard_logging_object as its strategies read."""
        return {
            "total_tokens": usage.prompt + usage.completion if usage else 0,
            "model_group": replica.model,
            "model_id": replica.id,
            "hidden_params": {
                "litellm_model_name": self.items[replica.id]["litellm_params"]["model"]
            },
        }


class Strategies:
    """Which routing strategy each model has: the settings' own, or that of its routing group."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._default: str = settings.get("routing_strategy") or _DEFAULT
        self._grouped: dict[str, str] = {
            model: row["routing_strategy"]
            for row in settings.get("routing_groups") or ()
            for model in row["models"]
        }

    @property
    def ours(self) -> bool:
        """Whether any model has prefix affinity."""
        return _OURS in (self._default, *self._grouped.values())

    def of(self, model: str) -> str:
        """Of a model that is no alias."""
        return self._grouped.get(model, self._default)


def for_litellm(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The Router's arguments with LiteLLM's default in the place of our own strategy."""
    given = dict(settings)
    if given.get("routing_strategy") == _OURS:
        given["routing_strategy"] = _DEFAULT
    if groups := given.get("routing_groups"):
        given["routing_groups"] = [
            {**row, "routing_strategy": _DEFAULT} if row["routing_strategy"] == _OURS else row
            for row in groups
        ]
    return given


def replica_of(item: Mapping[str, Any], about: Collection[str]) -> Replica:
    """The replica that an item of model_list describes."""
    params = item["litellm_params"]
    provider, upstream = provider_of(params["model"], params.get("custom_llm_provider"))
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
        timeout=seconds(params.get("timeout")),
        stream_timeout=seconds(params.get("stream_timeout")),
        max_parallel=params.get("max_parallel_requests"),
        # OpenAI itself and others refuse a field that they do not know.
        counts=provider in _VLLM,
    )


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
