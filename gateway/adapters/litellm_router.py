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

import math
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import litellm
from litellm import exceptions
from litellm.router import Router
from litellm.types.router import LiteLLM_Params
from litellm.types.utils import all_litellm_params

from gateway.adapters.litellm_deployments import Deployments
from gateway.domain.call import Call, Usage
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault

_HEALTHY_SECONDS: Final = 0.1
# Strategies whose choice is ours to make from true in-flight counts; the others ask LiteLLM.
_OWN_CHOICE: Final = frozenset({"simple-shuffle", "least-busy"})
# Strategies that also keep each replica within its rpm and tpm.
_LIMITING: Final = frozenset({"usage-based-routing", "usage-based-routing-v2"})
_LOGGERS: Final = (
    "lowestlatency_logger",
    "lowesttpm_logger",
    "lowesttpm_logger_v2",
    "lowestcost_logger",
)
# What its allowed_fails_policy tells apart.
_EXCEPTIONS: Final = {
    Fault.TIMEOUT: exceptions.Timeout,
    Fault.RATE_LIMITED: exceptions.RateLimitError,
    Fault.UPSTREAM_AUTH: exceptions.AuthenticationError,
    Fault.SERVER_ERROR: exceptions.InternalServerError,
}
# litellm_params that LiteLLM itself keeps out of the request.
_ABOUT: Final = frozenset({*all_litellm_params, *LiteLLM_Params.model_fields})


class LiteLLMRouter:
    """Satisfies ports.Router. Empty until `load` has been given a configuration.

    `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._router: Any = None
        self._known = Deployments()
        self._loggers: list[Any] = []
        self._inflight: dict[str, int] = {}
        self._hooks: list[tuple[list[Any], Any]] = []
        self._healthy: dict[tuple[str, int | None], tuple[float, tuple[Replica, ...]]] = {}

    def load(self, router_kwargs: Mapping[str, Any]) -> None:
        """Take this `model_list` and these router settings from now on. Call it inside a running
        event loop: LiteLLM's Router starts tasks of its own with some settings."""
        before = {id(one) for _, one in _hooks()}
        fresh = Router(**router_kwargs)
        self.close()
        self._router = fresh
        self._hooks = [(hook, one) for hook, one in _hooks() if id(one) not in before]
        self._known = Deployments(fresh.model_list, fresh.model_group_alias, _ABOUT)
        self._loggers = [x for name in _LOGGERS if (x := getattr(fresh, name, None)) is not None]
        self._healthy.clear()

    def close(self) -> None:
        """Take our Router, and the loggers of its strategy, out of LiteLLM's global lists."""
        if self._router is not None:
            self._router.discard()
            self._router = None
        for hook, ours in self._hooks:
            hook[:] = [one for one in hook if one is not ours]
        self._hooks = []

    def models(self) -> tuple[str, ...]:
        """Names that a client may ask for, aliases included, in the order of the file."""
        return self._known.names

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """All replicas of a model, healthy or not; empty when there is no such model."""
        return self._known.replicas(model)

    def load_of(self, replica: Replica) -> int:
        """Attempts on a replica that are under way."""
        return self._inflight.get(replica.id, 0)

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        """Those in rotation now, as LiteLLM says, at most 0.1 s old and forgotten at each failure.
        ModelNotFound when there is no such model."""
        if not self.replicas(model):
            raise ModelNotFound(param="model")
        return await self._rotation(model, None)

    async def _rotation(self, model: str, order: int | None) -> tuple[Replica, ...]:
        """Those of this `order`; None: of the lowest that has any."""
        now, key = self._clock(), (model, order)
        known = self._healthy.get(key)
        if known is not None and now - known[0] < _HEALTHY_SECONDS:
            return known[1]
        ids = [d["model_info"]["id"] for d in await self._ask_healthy(model, order)]
        by_id = self._known.by_id  # maybe of another configuration, loaded meanwhile
        found = tuple(by_id[one] for one in ids if one in by_id)
        self._healthy[key] = (now, found)
        return found

    async def _ask_healthy(self, model: str, order: int | None) -> list[Any]:
        if self._router is None:
            return []
        kwargs: dict[str, Any] = {"metadata": {"model_group": model}}
        if order is not None:
            kwargs["_target_order"] = order
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
        """The replica for the next attempt, none of `tried`; None when no other is in rotation.
        As a fallback, `model` may also be the id of one replica."""
        one = None if self.replicas(model) else self._known.by_id.get(model)
        if one is not None:
            return one if one in await self.healthy(one.model) and one.id not in tried else None
        pool = [r for r in await self.healthy(model) if r.id not in tried]
        # LiteLLM hands a request on to the next order too, not only once the first one rests.
        for order in self._known.later_orders(model) if tried else ():
            pool = pool or [r for r in await self._rotation(model, order) if r.id not in tried]
        strategy = str(self._router.routing_strategy) if pool else ""
        if strategy in _LIMITING:
            return await self._within_limits(model, pool)
        if len(pool) < 2:
            return pool[0] if pool else None
        if strategy not in _OWN_CHOICE:
            chosen = await self._ask_strategy(model)
            if chosen in pool:
                return chosen
        if strategy == "least-busy":
            return min(pool, key=lambda r: (self.load_of(r), random.random()))
        return self._shuffled(pool)

    def _shuffled(self, pool: Sequence[Replica]) -> Replica:
        """By weight; of two drawn so, the one with less under way for its weight."""
        weights = self._known.shares(pool)
        first, second = random.choices(range(len(pool)), weights, k=2)
        loads = [self.load_of(replica) for replica in pool]
        lighter = loads[first] * weights[second] <= loads[second] * weights[first]
        return pool[first if lighter else second]

    async def _within_limits(self, model: str, pool: Sequence[Replica]) -> Replica | None:
        """The strategy's choice, counted against its limits; None when all are over theirs."""
        chosen = await self._ask_strategy(model)
        if chosen is None:
            return None
        replica = chosen if chosen in pool else self._shuffled(pool)
        counter = self._router.lowesttpm_logger_v2
        try:
            if counter is not None:
                await counter.async_pre_call_check(self._known.items[replica.id], None)
        except exceptions.RateLimitError:
            return None
        return replica

    async def _ask_strategy(self, model: str) -> Replica | None:
        try:
            found = await self._router.async_get_available_deployment(
                model=model, request_kwargs={"metadata": {"model_group": model}}
            )
        except Exception:
            # The same edge as in _ask_healthy: over its limits, or cooling down.
            return None
        return self._known.by_id.get(found["model_info"]["id"])

    def started(self, call: Call, replica: Replica) -> None:
        """An attempt begins: the replica's load grows by one."""
        self._inflight[replica.id] = self._inflight.get(replica.id, 0) + 1

    def ended(
        self, call: Call, replica: Replica, fault: Fault | None, *, retry_after: float | None = None
    ) -> None:
        """An attempt is over; a fault counts towards the replica's cooldown."""
        self._inflight[replica.id] = max(0, self._inflight.get(replica.id, 0) - 1)
        if fault is None or fault.of_client or not self._knows(replica):
            return
        self._healthy.clear()
        error = _exception(fault, replica.model, retry_after)
        kwargs = {**self._callback(replica), "exception": error}
        self._router.deployment_callback_on_failure(kwargs, None, None, None)

    async def succeeded(
        self, call: Call, replica: Replica, usage: Usage | None, seconds: float
    ) -> None:
        """An answer is complete: LiteLLM's failure rates and strategies learn of it."""
        if not self._knows(replica):
            return
        kwargs = self._callback(replica)
        self._router.sync_deployment_callback_on_success(kwargs, None, None, None)
        if not self._loggers:
            return
        end = datetime.now()
        begin = end - timedelta(seconds=seconds)
        total = usage.prompt + usage.completion if usage else 0
        name = self._known.items[replica.id]["litellm_params"]["model"]
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

    def _knows(self, replica: Replica) -> bool:
        """Not those of a configuration that another has replaced, nor after the end."""
        return self._router is not None and replica.id in self._known.items

    def _callback(self, replica: Replica) -> dict[str, Any]:
        """The arguments that LiteLLM's callbacks read of a finished call."""
        deployment = self._known.items[replica.id]
        metadata = {
            "model_group": replica.model,
            "deployment": deployment["litellm_params"]["model"],
        }
        params = {"metadata": metadata, "litellm_metadata": metadata}
        params["model_info"] = deployment["model_info"]
        params["cooldown_time"] = deployment["litellm_params"].get("cooldown_time")
        return {"litellm_params": params, "call_type": "acompletion"}

    def fallbacks(self, model: str, fault: Fault) -> tuple[str, ...]:
        """Models to try after this kind of fault, in the order of litellm_config.yaml."""
        router = self._router
        special = {
            Fault.CONTEXT_WINDOW: "context_window_fallbacks",
            Fault.CONTENT_POLICY: "content_policy_fallbacks",
        }.get(fault)
        if router is None or not (special or fault.elsewhere):
            return ()
        table = getattr(router, special) if special else None
        if table is None:  # LiteLLM's own rule: no table of its own, so the general one
            table = router.fallbacks
        group = self._known.group(model)
        named = {name: targets for row in table or () for name, targets in row.items()}
        targets = named.get(model) or named.get(group) or named.get("*") or ()
        names = [t["model"] if isinstance(t, dict) else t for t in targets]
        return tuple(names[: router.max_fallbacks])


def _hooks() -> list[tuple[list[Any], Any]]:
    """What is registered in LiteLLM's lists that its Router's `discard` forgets, with the list."""
    return [(hook, one) for hook in (litellm.callbacks, litellm.input_callback) for one in hook]


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


def _exception(fault: Fault, model: str, retry_after: float | None) -> Exception:
    """The LiteLLM exception that its cooldown rules understand. Never APIConnectionError, which
    they ignore by its name."""
    kind: Any = _EXCEPTIONS.get(fault, exceptions.ServiceUnavailableError)
    error = kind(message=str(fault), model=model, llm_provider="openai")
    if fault is Fault.TIMEOUT:
        error.status_code = 504
    if retry_after is not None:
        # LiteLLM reads whole seconds only.
        error.litellm_response_headers = {"retry-after": str(math.ceil(retry_after))}
    return error  # type: ignore[no-any-return]
