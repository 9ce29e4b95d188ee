"""LiteLLM's Router behind our port: it chooses replicas, cools them down, knows fallbacks.

The only file that imports LiteLLM. Its public-named Router members used here are listed in
docs/decisions/0002-litellm-chooses.md; tests/adapters/test_litellm_router.py holds each to what
we rely on.
"""

from __future__ import annotations

import os

# LiteLLM reads these three when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # no download of a price list
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # no implicit reading of ./.env
os.environ.setdefault("LITELLM_LOG", "ERROR")

import random
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import litellm
from litellm import exceptions
from litellm.router import Router

from gateway.domain.call import Call, Usage
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault

_HEALTHY_SECONDS: Final = 0.1
# Strategies whose choice is ours to make from true in-flight counts; the others ask LiteLLM.
_OWN_CHOICE: Final = frozenset({"simple-shuffle", "least-busy"})
_LOGGERS: Final = (
    "lowestlatency_logger",
    "lowesttpm_logger",
    "lowesttpm_logger_v2",
    "lowestcost_logger",
)
# Fields of litellm_params that belong into the request body; the rest is about the deployment.
_BODY_FIELDS: Final = frozenset(
    {
        *("temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "seed", "n"),
        *("presence_penalty", "frequency_penalty", "logit_bias", "user", "reasoning_effort"),
        *("response_format", "tools", "tool_choice"),
    }
)


class LiteLLMRouter:
    """Satisfies ports.Router. Empty until `load` has been given a configuration.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._router: Any = None
        self._replicas: dict[str, tuple[Replica, ...]] = {}
        self._by_id: dict[str, Replica] = {}
        self._deployments: dict[str, Any] = {}
        self._weights: dict[str, float] = {}
        self._aliases: dict[str, str] = {}
        self._names: tuple[str, ...] = ()
        self._loggers: list[Any] = []
        self._inflight: dict[str, int] = {}
        self._healthy: dict[str, tuple[float, tuple[Replica, ...]]] = {}

    def load(self, router_kwargs: Mapping[str, Any]) -> None:
        """Take this `model_list` and these router settings from now on. Call it inside a running
        event loop: LiteLLM's Router starts tasks of its own with some settings."""
        fresh = Router(**router_kwargs)
        self.close()
        self._router = fresh
        self._deployments = {d["model_info"]["id"]: d for d in fresh.model_list}
        self._by_id = {key: _replica(d) for key, d in self._deployments.items()}
        self._weights = {key: _weight(d["litellm_params"]) for key, d in self._deployments.items()}
        groups: dict[str, list[Replica]] = {}
        for replica in self._by_id.values():
            groups.setdefault(replica.model, []).append(replica)
        self._replicas = {name: tuple(members) for name, members in groups.items()}
        self._aliases, hidden = _aliases(fresh.model_group_alias)
        self._names = (*groups, *(name for name in self._aliases if name not in hidden))
        self._loggers = [x for name in _LOGGERS if (x := getattr(fresh, name, None)) is not None]
        self._healthy.clear()

    def close(self) -> None:
        """Take our Router out of LiteLLM's global lists."""
        if self._router is not None:
            self._router.discard()
            self._router = None

    def models(self) -> tuple[str, ...]:
        """Names that a client may ask for, aliases included, in the order of the file."""
        return self._names

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """All replicas of a model, healthy or not; empty when there is no such model."""
        return self._replicas.get(self._aliases.get(model, model), ())

    def load_of(self, replica: Replica) -> int:
        """Attempts on a replica that are under way."""
        return self._inflight.get(replica.id, 0)

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        """Those in rotation now, as LiteLLM says, at most 0.1 s old and forgotten at each failure.
        ModelNotFound when there is no such model."""
        if not self.replicas(model):
            raise ModelNotFound(param="model")
        now = self._clock()
        known = self._healthy.get(model)
        if known is not None and now - known[0] < _HEALTHY_SECONDS:
            return known[1]
        found = tuple(self._by_id[d["model_info"]["id"]] for d in await self._ask_healthy(model))
        self._healthy[model] = (now, found)
        return found

    async def _ask_healthy(self, model: str) -> list[Any]:
        kwargs = {"metadata": {"model_group": model}}
        try:
            found = await self._router.async_get_healthy_deployments(
                model=model, request_kwargs=kwargs
            )
        except Exception:
            # A marked edge: LiteLLM says "all of them are cooling down" by several exceptions,
            # some of them plain ValueError, and none of them is a reason to fail here.
            return []
        return found if isinstance(found, list) else [found]

    async def pick(self, call: Call, model: str, tried: Collection[str]) -> Replica | None:
        """The replica for the next attempt, none of `tried`; None when no other is in rotation."""
        pool = [r for r in await self.healthy(model) if r.id not in tried]
        if len(pool) < 2:
            return pool[0] if pool else None
        strategy = str(self._router.routing_strategy)
        if strategy not in _OWN_CHOICE:
            chosen = await self._ask_strategy(model)
            if chosen is not None and chosen.id not in tried:
                return chosen
        if strategy == "least-busy":
            return min(pool, key=lambda r: (self.load_of(r), random.random()))
        first, second = random.choices(pool, [self._weights[r.id] for r in pool], k=2)
        return first if self._pressure(first) <= self._pressure(second) else second

    def _pressure(self, replica: Replica) -> float:
        return self.load_of(replica) / self._weights[replica.id]

    async def _ask_strategy(self, model: str) -> Replica | None:
        try:
            found = await self._router.async_get_available_deployment(
                model=model, request_kwargs={"metadata": {"model_group": model}}
            )
        except Exception:
            # The same edge as in _ask_healthy: over its limits, or cooling down.
            return None
        return self._by_id.get(found["model_info"]["id"])

    def started(self, call: Call, replica: Replica) -> None:
        """An attempt begins: the replica's load grows by one."""
        self._inflight[replica.id] = self._inflight.get(replica.id, 0) + 1

    def ended(
        self, call: Call, replica: Replica, fault: Fault | None, *, retry_after: float | None = None
    ) -> None:
        """An attempt is over; a fault counts towards the replica's cooldown."""
        self._inflight[replica.id] = max(0, self._inflight.get(replica.id, 0) - 1)
        if fault is None or replica.id not in self._deployments:
            return
        self._healthy.clear()
        error = _exception(fault, replica.model, retry_after)
        kwargs = {**self._callback(replica), "exception": error}
        self._router.deployment_callback_on_failure(kwargs, None, None, None)

    async def succeeded(
        self, call: Call, replica: Replica, usage: Usage | None, seconds: float
    ) -> None:
        """An answer is complete: LiteLLM's failure rates and strategies learn of it."""
        if replica.id not in self._deployments:
            return
        kwargs = self._callback(replica)
        self._router.sync_deployment_callback_on_success(kwargs, None, None, None)
        if not self._loggers:
            return
        end = datetime.now()
        begin = end - timedelta(seconds=seconds)
        total = usage.prompt + usage.completion if usage else 0
        name = self._deployments[replica.id]["litellm_params"]["model"]
        kwargs |= {
            "stream": call.stream,
            "standard_logging_object": {
                "total_tokens": total,
                "model_group": replica.model,
                "model_id": replica.id,
                "hidden_params": {"litellm_model_name": name},
            },
        }
        response = _response(usage)
        for logger in self._loggers:
            await logger.async_log_success_event(kwargs, response, begin, end)

    def _callback(self, replica: Replica) -> dict[str, Any]:
        """The arguments that LiteLLM's callbacks read of a finished call."""
        deployment = self._deployments[replica.id]
        metadata = {
            "model_group": replica.model,
            "deployment": deployment["litellm_params"]["model"],
        }
        params = {"metadata": metadata, "litellm_metadata": metadata}
        params["model_info"] = deployment["model_info"]
        return {"litellm_params": params, "call_type": "acompletion"}

    def fallbacks(self, model: str, fault: Fault) -> tuple[str, ...]:
        """Models to try after this kind of fault, in the order of litellm_config.yaml."""
        if fault is Fault.CONTEXT_WINDOW:
            table = self._router.context_window_fallbacks
        elif fault is Fault.CONTENT_POLICY:
            table = self._router.content_policy_fallbacks
        elif fault.elsewhere:
            table = self._router.fallbacks
        else:
            return ()
        group = self._aliases.get(model, model)
        named = {name: targets for row in table or () for name, targets in row.items()}
        targets = named.get(model) or named.get(group) or named.get("*") or ()
        return tuple(t["model"] if isinstance(t, dict) else t for t in targets)


def _replica(deployment: Mapping[str, Any]) -> Replica:
    params = deployment["litellm_params"]
    name = params["model"]
    upstream = name if params.get("custom_llm_provider") else name.partition("/")[2] or name
    body = {key: params[key] for key in _BODY_FIELDS if params.get(key) is not None}
    return Replica(
        id=deployment["model_info"]["id"],
        model=deployment["model_name"],
        upstream_model=upstream,
        base_url=str(params.get("api_base") or params.get("base_url") or "").rstrip("/"),
        api_key=params.get("api_key") or None,
        params={**body, **(params.get("extra_body") or {})},
        headers={key.lower(): str(v) for key, v in (params.get("extra_headers") or {}).items()},
        timeout=_seconds(params.get("timeout")),
        stream_timeout=_seconds(params.get("stream_timeout")),
        max_parallel=params.get("max_parallel_requests"),
    )


def _response(usage: Usage | None) -> Any:
    """As much of LiteLLM's response object as its strategies read."""
    response: Any = litellm.ModelResponse()
    if usage is not None:
        response.usage = litellm.Usage(
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            total_tokens=usage.prompt + usage.completion,
        )
    return response


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | str) and value else None


def _weight(params: Mapping[str, Any]) -> float:
    """LiteLLM's own order of what weighs a deployment in simple-shuffle."""
    for key in ("weight", "rpm", "tpm"):
        if params.get(key):
            return float(params[key])
    return 1.0


def _aliases(table: Mapping[str, Any] | None) -> tuple[dict[str, str], set[str]]:
    names, hidden = {}, set()
    for alias, target in (table or {}).items():
        names[alias] = target["model"] if isinstance(target, dict) else target
        if isinstance(target, dict) and target.get("hidden"):
            hidden.add(alias)
    return names, hidden


def _exception(fault: Fault, model: str, retry_after: float | None) -> Exception:
    """The LiteLLM exception that its cooldown rules understand. Never APIConnectionError, which
    they ignore by its name."""
    about: dict[str, Any] = {"message": str(fault), "model": model, "llm_provider": "openai"}
    error: Any
    if fault is Fault.TIMEOUT:
        error = exceptions.Timeout(**about)
        error.status_code = 504
    elif fault is Fault.RATE_LIMITED:
        error = exceptions.RateLimitError(**about)
    elif fault is Fault.UPSTREAM_AUTH:
        error = exceptions.AuthenticationError(**about)
    elif fault is Fault.SERVER_ERROR:
        error = exceptions.InternalServerError(**about)
    else:
        error = exceptions.ServiceUnavailableError(**about)
    if retry_after is not None:
        error.litellm_response_headers = {"retry-after": str(retry_after)}
    return error  # type: ignore[no-any-return]
