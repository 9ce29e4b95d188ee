"""LiteLLM's Router behind our port: it chooses replicas, cools them down, knows fallbacks.

Its public-named Router members used here are listed in docs/decisions/0002-litellm-chooses.md;
tests/adapters/test_litellm_router.py holds each to what we rely on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.adapters.choice import OWN, Choice
from gateway.adapters.litellm_cooldowns import Cooldowns
from gateway.adapters.litellm_deployments import Deployments, Strategies, for_litellm
from gateway.adapters.litellm_fallbacks import fallbacks_of
from gateway.adapters.litellm_rotation import Rotation
from gateway.adapters.litellm_sdk import (
    LiteLLM_Params,
    ModelRateLimitingCheck,
    Router,
    all_litellm_params,
    exceptions,
    facts_of,
    litellm,
)
from gateway.adapters.provider_items import told_apart
from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.affinity import AffinityRule
from gateway.domain.call import Call, Usage
from gateway.domain.errors import ModelNotFound
from gateway.domain.ports import Fallback, Replica
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard
from gateway.domain.tags import call_tags

# Candidates that a decision record names.
_NOTED: Final = 8
# How often a choice is made anew because its place was taken meanwhile.
_ROUNDS: Final = 8
# Strategies that also keep each replica within its rpm and tpm.
_LIMITING: Final = frozenset({"usage-based-routing", "usage-based-routing-v2"})
_LOGGERS: Final = (
    "lowestlatency_logger",
    "lowesttpm_logger",
    "lowesttpm_logger_v2",
    "lowestcost_logger",
)
# litellm_params that LiteLLM itself keeps out of the request.
_ABOUT: Final = frozenset({*all_litellm_params, *LiteLLM_Params.model_fields})


class LiteLLMRouter:
    """Satisfies ports.Router. Empty until `load` has been given a configuration.

    `clock` gives monotonic seconds; `rests` hears of each replica that LiteLLM lets rest, for how
    many seconds, and why.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        states: ReplicaStates | None = None,
        rule: AffinityRule | None = None,
        *,
        panics: bool = False,
        rests: Callable[[Replica, float, Fault], None] = lambda replica, seconds, fault: None,
    ) -> None:
        self._clock = clock
        self.states = states or ReplicaStates(clock)
        self._panics = panics
        self._rests = rests
        self._inflight: dict[str, int] = {}
        self._choice = Choice(self.states, rule or AffinityRule(), self.load_of)
        self._hooks: list[tuple[list[Any], Any]] = []
        self._loggers: list[Any] = []
        self._limiters: list[Any] = []
        self._router: Any = None
        self._known = Deployments()
        self._strategies = Strategies({})
        self._rotation = self._rotation_of()
        self._cooldowns = Cooldowns(None, rests)

    def _rotation_of(self) -> Rotation:
        return Rotation(self._router, self._known, self.states, self.load_of, self._clock)

    def load(self, router_kwargs: Mapping[str, Any]) -> None:
        """Take this `model_list` and these router settings from now on. Call it inside a running
        event loop: LiteLLM's Router starts tasks of its own with some settings."""
        before = {id(one) for _, one in _hooks()}
        shown, providers = told_apart(router_kwargs.get("model_list") or (), facts_of)
        fresh = Router(**for_litellm({**router_kwargs, "model_list": shown}))
        self.close()
        self._router, self._cooldowns = fresh, Cooldowns(fresh, self._rests)
        self._hooks = [(hook, one) for hook, one in _hooks() if id(one) not in before]
        self._known = Deployments(fresh.model_list, fresh.model_group_alias, _ABOUT, providers)
        self._strategies = Strategies(router_kwargs)
        self._loggers = [x for name in _LOGGERS if (x := getattr(fresh, name, None)) is not None]
        checks = [
            x for x in fresh.optional_callbacks or () if isinstance(x, ModelRateLimitingCheck)
        ]
        self._loggers += checks
        self._limiters = [*filter(None, [fresh.lowesttpm_logger_v2]), *checks]
        self._rotation = self._rotation_of()
        self.states.keep(self._known.by_id)

    def close(self) -> None:
        """Take our Router, and the loggers of its strategy, out of LiteLLM's global lists."""
        if self._router is not None:
            self._router.discard()
            self._router = None
            self._rotation = self._rotation_of()
        for hook, ours in self._hooks:
            hook[:] = [one for one in hook if one is not ours]
        self._hooks = []

    def models(self) -> tuple[str, ...]:
        """See ports.Router."""
        return self._known.names

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """See ports.Router."""
        return self._known.replicas(model)

    def load_of(self, replica: Replica) -> int:
        """Attempts on a replica that are under way."""
        return self._inflight.get(replica.id, 0)

    def every(self) -> tuple[Replica, ...]:
        """All replicas of all models."""
        return tuple(self._known.by_id.values())

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        """Those in rotation now, of the lowest order that has any; LiteLLM's word on it is at
        most 0.1 s old and forgotten at each failure. ModelNotFound where there is none."""
        if not self.replicas(model):
            raise ModelNotFound(param="model")
        return await self._rotation.healthy(model)

    def wants_loads(self) -> bool:
        """Whether a strategy looks at what replicas say of their load."""
        return self._strategies.ours

    async def cooling(self) -> set[str]:
        """See Rotation."""
        return await self._rotation.cooling()

    def slots(self, model: str, default: int) -> int:
        """Requests that a model's replicas take at once: those that are not out, or all where all
        are. `default` for one without max_parallel_requests."""
        every = self.replicas(model)
        here = [one for one in every if self.states.in_rotation(one.id)]
        return sum(one.max_parallel or default for one in here or every)

    async def pick(self, call: Call, model: str, tried: Collection[str]) -> Replica | None:
        """See ports.Router. As a fallback, `model` may also be the id of one replica. When none is
        in rotation, and the model has no fallback, those are tried that nobody has drained: a wrong
        guess about their health is then no outage."""
        one = None
        if not self.replicas(model) and (one := self._known.by_id.get(model)) is None:
            raise ModelNotFound(param="model")
        name = one.model if one else model
        tags = call_tags(call) if self._rotation.tagged else ()
        rotation, chosen = self._rotation, None
        for _ in range(_ROUNDS):
            pool, odd = await rotation.pool(name, tags, tried, lambda: self._may_panic(model))
            if one is not None:
                pool = [member for member in pool if member.id == one.id]
            if not pool:
                return None
            roomy = rotation.has_room(pool[0])
            chosen, why = await self._choose(call, name, tags, pool)
            # While its strategy was asked, others may have taken the last place.
            if chosen is None or odd or rotation.keeps(chosen, roomy=roomy):
                break
        if chosen is not None and call.record is not None:
            names = [member.id for member in pool[:_NOTED]]
            call.note("choice", model=name, replica=chosen.id, why=odd or why, candidates=names)
        return chosen

    def _may_panic(self, model: str) -> bool:
        return self._panics and not self.fallbacks(model, Fault.CONNECT)

    def regard(self, replica: Replica) -> Regard:
        """See ports.Router."""
        return self._rotation.regard(replica)

    def watch(self, replica: Replica, down: Callable[[], None]) -> Callable[[], None]:
        """See ports.Router."""
        return self.states.watch(replica.id, down)

    async def _choose(
        self, call: Call, model: str, tags: tuple[str, ...], pool: list[Replica]
    ) -> tuple[Replica | None, str]:
        """By the model's strategy, and counted against its rpm and tpm where LiteLLM keeps them;
        None when all are over theirs."""
        strategy = self._strategies.of(self._known.group(model))
        why = f"LiteLLM's {strategy}"
        while pool:
            chosen = None
            if strategy not in OWN:
                chosen = await self._rotation.strategys(model, tags, pool)
                if chosen is None and strategy in _LIMITING:
                    return None, why
            if chosen is None:
                shares = self._known.shares(pool)
                chosen, why = self._choice.choose(strategy, call, pool, shares)
            if await self._within_limits(chosen):
                return chosen, why
            pool = [one for one in pool if one is not chosen]
        return None, why

    async def _within_limits(self, replica: Replica) -> bool:
        """Count the request against the replica's rpm and tpm, for whoever keeps them."""
        try:
            for limiter in self._limiters:
                await limiter.async_pre_call_check(self._known.items[replica.id], None)
        except exceptions.RateLimitError:
            return False
        return True

    def started(self, call: Call, replica: Replica) -> None:
        """See ports.Router."""
        self._inflight[replica.id] = self._inflight.get(replica.id, 0) + 1

    def ended(
        self, call: Call, replica: Replica, fault: Fault | None, *, retry_after: float | None = None
    ) -> None:
        """See ports.Router."""
        self._inflight[replica.id] = max(0, self._inflight.get(replica.id, 0) - 1)
        if fault is None or fault.of_client or not self._knows(replica):
            return
        self._rotation.forget()
        self.states.of(replica.id).attempt_failed(self._clock(), fault)
        self._cooldowns.failed(replica, self._known.callback(replica), fault, retry_after)

    def rest(self, replica: Replica, seconds: float, fault: Fault) -> None:
        """Another process has found that it fails: it rests here for as long. One that this
        configuration does not have as it is there is left alone."""
        if self._known.by_id.get(replica.id) != replica or not self._knows(replica):
            return
        self._rotation.forget()
        self.states.of(replica.id).heard(self._clock(), fault)
        self._cooldowns.rest(replica, seconds, fault)

    async def succeeded(
        self, call: Call, replica: Replica, usage: Usage | None, seconds: float
    ) -> None:
        """See ports.Router."""
        if not self._knows(replica):
            return
        self.states.of(replica.id).attempt_passed(self._clock())
        kwargs = self._known.callback(replica)
        self._router.sync_deployment_callback_on_success(kwargs, None, None, None)
        if not self._loggers:
            return
        end = datetime.now()
        begin = end - timedelta(seconds=seconds)
        told = self._known.logging_object(replica, usage)
        kwargs |= {"stream": call.stream, "standard_logging_object": told}
        response = _response(usage)
        for logger in self._loggers:
            await logger.async_log_success_event(kwargs, response, begin, end)

    def _knows(self, replica: Replica) -> bool:
        """Not those of a configuration that another has replaced, nor after the end."""
        return self._router is not None and replica.id in self._known.items

    def fallbacks(self, model: str, fault: Fault) -> tuple[Fallback, ...]:
        """See ports.Router."""
        return fallbacks_of(self._router, model, self._known.group(model), fault)


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
