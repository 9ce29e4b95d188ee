"""Settings in, running gateway out: the only place that constructs adapters and joins the rooms."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.adapters import litellm_config
from gateway.adapters.discovery import NotDiscovered, model_names
from gateway.adapters.health import Health
from gateway.adapters.prompts import PromptFiles
from gateway.adapters.python_syntax import PythonSyntax
from gateway.adapters.record_queue import RecordQueue, Told
from gateway.adapters.records import Records
from gateway.adapters.replica_states import ReplicaStates
from gateway.adapters.resolver import Resolver
from gateway.adapters.telemetry import Telemetry
from gateway.adapters.tokens import ReplicaTokens
from gateway.adapters.transport import AiohttpWire
from gateway.domain.limits import StreamLimits, Timeouts
from gateway.domain.retry import RetryRule
from gateway.domain.retry_budget import RetryBudget
from gateway.flow.admission import Admission
from gateway.flow.assist import Assist, AssistLimits
from gateway.flow.attempt import Attempts
from gateway.flow.engine import Engine
from gateway.flow.guard import Guard
from gateway.flow.hedge import Hedging
from gateway.flow.identify import Identify
from gateway.flow.intake import Intake
from gateway.flow.pipeline import Pipeline
from gateway.flow.walk import Means
from gateway.flow.window import Window
from gateway.plan import (
    Fleet,
    Plan,
    affinity_of,
    fleet_of,
    health_of,
    input_limits_of,
    keys_of,
    plan_of,
    queue_limits_of,
    retry_limit,
    streams_of,
    timeouts_of,
)
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.adapters.litellm_router import LiteLLMRouter

_log = logging.getLogger("gateway.bootstrap")
_ASK_AGAIN_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """The rooms as one configuration makes them. A reload builds a new one and puts it in the
    place of the old, in which the requests that are in it stay to their end."""

    plan: Plan
    timeouts: Timeouts
    streams: StreamLimits
    identify: Identify
    intake: Intake
    answers: Pipeline
    assist: Assist

    @property
    def settings(self) -> Settings:
        """Those that it was built from."""
        return self.plan.settings

    @property
    def fleet(self) -> Fleet:
        """Where its models come from."""
        return self.plan.fleet

    @property
    def prompts(self) -> PromptFiles:
        """The prompt files."""
        return self.plan.prompts


class Gateway:
    """Everything that a door stands on. It works inside `async with gateway.running()`.

    What a reload must not lose is built here, once: connections, the router's counts, the queues,
    telemetry, records, what was spent on retries and hedges. All else is in `house`: ask for it
    anew for each request.
    """

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        # Imported here because LiteLLM takes seconds to import, and `gateway check` needs none.
        from gateway.adapters.litellm_provider import LiteLLMProviders
        from gateway.adapters.litellm_router import LiteLLMRouter

        plan = plan_of(settings, fleet)
        # Why the one server that tells its own models does not, while that is so.
        self.trouble = "" if fleet.config else f"{fleet.base_url} has not told its models yet"
        self.states = ReplicaStates(
            time.monotonic,
            max_age=settings.affinity.max_age_s,
            told=lambda replica, was, now: self.telemetry.replica(replica, was, now),
        )
        self.router: LiteLLMRouter = LiteLLMRouter(
            time.monotonic, self.states, affinity_of(settings), panics=settings.health.panic
        )
        self._shared = _record_queue(settings, lambda: self.telemetry)
        self.records = Records(settings.records.keep, settings.records.max_bytes, self._shared)
        self.telemetry = Telemetry(
            settings.telemetry, self.router.models, time.monotonic, self.records.keep
        )
        self._names = Resolver()
        self._wire = AiohttpWire(connect=settings.timeouts.connect_s)
        self._providers = LiteLLMProviders()
        self._health = Health(
            self.router,
            self.states,
            self._wire,
            health_of(settings),
            clock=time.monotonic,
            random=random.random,
        )
        self.admission = self._queues(settings)
        retries, hedging = settings.retries, settings.hedging
        self._budget = RetryBudget(retries.budget, retries.floor, time.monotonic)
        self._hedging = Hedging(hedging.models, hedging.budget, hedging.min_samples)
        self.house = self.build(plan)

    def _queues(self, settings: Settings) -> Admission:
        return Admission(
            self._capacity,
            queue_limits_of(settings),
            time.monotonic,
            group=self._group,
            on_depth=self.telemetry.queued,
            on_shed=self.telemetry.shed,
        )

    @property
    def answers(self) -> Pipeline:
        """The pipeline of now, for calls made without HTTP (gateway.client)."""
        return self.house.answers

    def build(self, plan: Plan) -> House:
        """New rooms over what lasts. Changes nothing that is in use, and may run in any thread."""
        settings = plan.settings
        timeouts, identify = timeouts_of(settings), Identify(keys_of(settings))
        tokens = ReplicaTokens(
            self._wire,
            self.router.replicas,
            tokenizers=settings.assist.tokenizers,
            clock=time.monotonic,
        )
        intake = Intake(input_limits_of(settings), self._names, self._group)
        window = Window(tokens, lambda model: intake.bounds(model).window, time.monotonic)
        answers = self._pipeline(
            plan, timeouts, identify, Means(self._budget, self._hedging, tokens, window)
        )
        limits = AssistLimits(
            model=settings.assist.model,
            explain_tokens=settings.assist.explain_max_tokens,
            rewrite_tokens=settings.assist.rewrite_max_tokens,
        )
        models = self.router.models
        assist = Assist(
            answers, plan.prompts, tokens, models=models, limits=limits, syntax=PythonSyntax()
        )
        return House(plan, timeouts, streams_of(settings), identify, intake, answers, assist)

    def _pipeline(
        self, plan: Plan, timeouts: Timeouts, identify: Identify, means: Means
    ) -> Pipeline:
        clock, retries = time.monotonic, plan.settings.retries
        rule = RetryRule(retry_limit(plan.fleet, retries.limit), retries.backoff_s, retries.jitter)
        attempts = Attempts(
            self.router, self._wire, self.telemetry, timeouts, clock, self._providers
        )
        return Pipeline(
            identify,
            Guard(plan.chain, on_verdict=self.telemetry.verdict, clock=clock),
            self.admission,
            Engine(self.router, attempts, rule, clock=clock, random=random.random, means=means),
            self.telemetry,
            clock,
        )

    def move_in(self, house: House) -> None:
        """From now on, new requests get `house`. Call it in the event loop; it does not wait, so
        nobody sees half of it. Where LiteLLM's Router refuses its part, it raises what that
        raises, and all is as before."""
        was, config = self.house.fleet.config, house.fleet.config
        if config is not None:
            kwargs = config.as_router_kwargs()
            # A replica that is cooling down should not come back because a prompt was edited.
            if was is None or was.as_router_kwargs() != kwargs:
                self.router.load(kwargs)
            self.trouble = ""
        self.house = house
        self.admission.adopt(queue_limits_of(house.settings))
        retries, hedging = house.settings.retries, house.settings.hedging
        self._budget.adopt(retries.budget, retries.floor)
        self._hedging.adopt(hedging.models, hedging.budget, hedging.min_samples)

    def _capacity(self, model: str) -> int:
        default = self.house.settings.queue.slots_per_replica
        return self.router.slots(model, default)

    def _group(self, model: str) -> str:
        """The name that all aliases of a model share, so that they share its slots too."""
        replicas = self.router.replicas(model)
        return replicas[0].model if replicas else model

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connections, LiteLLM's Router and the watch over the upstream's model names live in
        here; all are closed at the end, spans sent last."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.telemetry.aclose)
            if self._shared is not None:
                await stack.enter_async_context(self._shared.writing())
            await stack.enter_async_context(self._wire)
            stack.push_async_callback(self._providers.close)
            stack.callback(self.router.close)
            if self.house.fleet.config is not None:
                self.router.load(self.house.fleet.config.as_router_kwargs())
            else:
                await self._look_for_models(self.house.fleet)
            watch = asyncio.create_task(self._watch_models())
            stack.push_async_callback(_ended, watch)
            await stack.enter_async_context(self._health.watching())
            yield

    async def _look_for_models(self, fleet: Fleet) -> bool:
        """Ask the one server for its models, and take them if they have changed."""
        try:
            names = await model_names(self._wire, fleet.base_url, fleet.key)
        except NotDiscovered as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        # While we asked, litellm_config.yaml may have been filled.
        if names != self.router.models() and self.house.fleet.config is None:
            found = litellm_config.from_upstream(fleet.base_url, fleet.key, names)
            self.router.load(found.as_router_kwargs())
            _log.info("models of %s: %s", fleet.base_url, ", ".join(names))
        return True

    async def _watch_models(self) -> None:
        known = not self.trouble
        if not known:
            _log.warning("%s; asking again every %g s", self.trouble, _ASK_AGAIN_SECONDS)
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS if known else _ASK_AGAIN_SECONDS)
            fleet = self.house.fleet
            if fleet.config is None:
                # A server that is gone for a while keeps its names: the next answer tells.
                known = await self._look_for_models(fleet)


def _record_queue(settings: Settings, telemetry: Callable[[], Telemetry]) -> RecordQueue | None:
    """The way of decision records to Redis, where one is configured."""
    own = settings.records
    if own.redis_url is None or own.keep == 0:
        return None
    # Imported here because redis-py is optional; plan.check_records has seen that it is there.
    from gateway.adapters.redis_records import RedisRecords

    url, most, most_bytes = own.redis_url.get_secret_value(), own.keep, own.max_bytes
    store = RedisRecords(url, keep=most, most_bytes=most_bytes, ttl=own.redis_ttl_s)
    told = Told(
        lambda count: telemetry().records_dropped(count),
        lambda is_so: telemetry().records_shared(1 if is_so else -1),
    )
    return RecordQueue(store, most, most_bytes, told)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def open_gateway(settings: Settings, fleet: Fleet | None = None) -> AsyncIterator[Gateway]:
    """A running gateway with no HTTP in front: what `gateway.client` is for. Without a fleet it is
    read from the settings; the embedded model must then have been started by the caller."""
    gateway = Gateway(settings, fleet or fleet_of(settings))
    async with gateway.running():
        yield gateway
