"""Settings in, running gateway out: the only place that constructs adapters and joins the rooms."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from gateway.adapters import litellm_config
from gateway.adapters.counting import Counting
from gateway.adapters.database import Database
from gateway.adapters.discovery import Discovery, OneServer
from gateway.adapters.health import Health
from gateway.adapters.keeping import Keeping
from gateway.adapters.keyring import MergedKeys, tokens_of, watching
from gateway.adapters.metered import Metered
from gateway.adapters.record_queue import Told, shared_records
from gateway.adapters.records import Records
from gateway.adapters.replica_states import ReplicaStates
from gateway.adapters.resolver import Resolver
from gateway.adapters.shared_cooldowns import SharedCooldowns
from gateway.adapters.stored_keys import StoredKeys
from gateway.adapters.syntax import TreeSitter
from gateway.adapters.telemetry import Telemetry
from gateway.adapters.tokens import ReplicaTokens
from gateway.adapters.transport import AiohttpWire
from gateway.chain import own_tools
from gateway.domain.audit import AuditLog
from gateway.domain.limits import Timeouts
from gateway.domain.retry import RetryRule
from gateway.domain.retry_budget import RetryBudget
from gateway.domain.tools import Tools
from gateway.flow.admission import Admission
from gateway.flow.assist import Assist, Extras
from gateway.flow.attempt import Attempts
from gateway.flow.books import Books
from gateway.flow.ceilings import Ceilings, Reach
from gateway.flow.context import ContextBuilder
from gateway.flow.engine import Engine
from gateway.flow.floor import Floor
from gateway.flow.guard import Guard
from gateway.flow.hedge import Hedging
from gateway.flow.identify import Identify
from gateway.flow.intake import Intake
from gateway.flow.pipeline import Pipeline
from gateway.flow.sessions import Sessions
from gateway.flow.shadow import Shadows
from gateway.flow.survey import Surveyor
from gateway.flow.walk import Means
from gateway.flow.window import Window
from gateway.plan import Fleet, Plan, fleet_of, plan_of, retry_limit
from gateway.rooms import House as House
from gateway.rules import (
    affinity_of,
    assist_limits_of,
    health_of,
    input_limits_of,
    queue_limits_of,
    screen_of,
    streams_of,
    timeouts_of,
)
from gateway.settings import Settings, packages

_log = logging.getLogger("gateway.bootstrap")


class Gateway:
    """Everything that a door stands on. It works inside `async with gateway.running()`.

    What a reload must not lose is built here, once: connections, the router's counts, the queues,
    telemetry, records, what policies count, what was spent on retries and hedges. All else is in
    `house`: ask for it anew for each request.
    """

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        # Imported here because LiteLLM takes seconds to import, and `gateway check` needs none.
        from gateway.adapters.litellm_provider import LiteLLMProviders
        from gateway.adapters.litellm_router import LiteLLMRouter

        packages.check_state(settings)
        # Telemetry is made after what tells it of itself.
        self.counting = Counting(settings.state, lambda *said: self.telemetry.house.change(*said))
        self.keeping = Keeping(settings.state, lambda *said: self.telemetry.house.change(*said))
        self.keys = StoredKeys(self.keeping.database, settings.state.file)
        self.tokens = tokens_of(settings)
        self.tools = self._tools()
        plan = plan_of(settings, fleet, self.tools)
        self.states = ReplicaStates(
            time.monotonic,
            max_age=settings.affinity.max_age_s,
            told=lambda replica, was, now: self.telemetry.house.replica(replica, was, now),
        )
        self._cooldowns = SharedCooldowns(settings.state, time.monotonic)
        self.router = LiteLLMRouter(
            *(time.monotonic, self.states, affinity_of(settings)),
            panics=settings.health.panic,
            rests=self._cooldowns.began,
        )
        self._shared = shared_records(settings.records, self._told())
        self.records = Records(settings.records.keep, settings.records.max_bytes, self._shared)
        self.telemetry = Telemetry(
            settings.telemetry, self.router.models, time.monotonic, self.records.keep
        )
        self._names, self._providers = Resolver(), LiteLLMProviders()
        self._wire = AiohttpWire(connect=settings.timeouts.connect_s)
        self._discovery = Discovery(self._wire, self._server, self._take_models)
        self._health = self._watch(settings)
        self.admission = self._queues(settings)
        hedging, retries = settings.hedging, settings.retries
        self._budget = RetryBudget(retries.budget, retries.floor, time.monotonic)
        self._hedging = Hedging(hedging.models, hedging.budget, hedging.min_samples)
        self._syntax, self._sessions, self.floor = TreeSitter(), Sessions(), Floor(time.monotonic)
        self.shadows = Shadows(random.random, self.telemetry.count)
        self.house = self.build(plan)

    def _tools(self) -> Tools:
        return replace(
            own_tools(),
            counters=self.counting.counters,
            ledger=self.keeping.ledger,
            audit=self.keeping.audit,
            meters=Metered(lambda: self.telemetry.house),
            reach=Reach(lambda: self.router, lambda: self.house.ceilings),
        )

    def _watch(self, settings: Settings) -> Health:
        return Health(
            self.router,
            self.states,
            self._wire,
            health_of(settings),
            clock=time.monotonic,
            random=random.random,
        )

    def _told(self) -> Told:
        # Telemetry takes the records, and so is made after them.
        return Told(
            lambda count: self.telemetry.house.records_dropped(count),
            lambda is_so: self.telemetry.house.records_shared(1 if is_so else -1),
        )

    def _queues(self, settings: Settings) -> Admission:
        return Admission(
            self._capacity,
            queue_limits_of(settings),
            time.monotonic,
            group=self._group,
            on_depth=self.telemetry.house.queued,
            on_shed=self.telemetry.house.shed,
        )

    @property
    def database(self) -> Database | None:
        """That of keys, ledger and audit log; None where nothing is kept."""
        return self.keeping.database

    @property
    def audit(self) -> AuditLog:
        """Where to tell what somebody has changed."""
        return self.keeping.audit

    @property
    def trouble(self) -> str:
        """Why the one server that tells its own models does not; "" while it does, or none does."""
        return self._discovery.trouble

    @property
    def answers(self) -> Pipeline:
        """The pipeline of now, for calls made without HTTP (gateway.client)."""
        return self.house.answers

    async def look(self) -> None:
        """Bring the metrics up to date that are only told when somebody looks."""
        await self.states.look(self.router)
        every = self.router.every()
        self.telemetry.look({one.id: self._wire.connections(one.base_url) for one in every})

    def build(self, plan: Plan) -> House:
        """New rooms over what lasts. Changes nothing that is in use, and may run in any thread."""
        settings = plan.settings
        keys, timeouts = MergedKeys(settings, self.keys, self.tokens), timeouts_of(settings)
        identify, streams = Identify(keys, time.time), streams_of(settings)
        tokens = ReplicaTokens(
            self._wire,
            self.router.replicas,
            tokenizers=settings.assist.tokenizers,
            clock=time.monotonic,
        )
        intake = Intake(input_limits_of(settings), self._names, self._group)
        ceilings = Ceilings(tokens, time.monotonic)
        window = Window(tokens, ceilings, lambda model: intake.bounds(model).window)
        answers = self._pipeline(
            plan, timeouts, identify, Means(self._budget, self._hedging, tokens, window)
        )
        surveyor = Surveyor(self._syntax, screen_of(settings))
        builder = ContextBuilder(plan.prompts, tokens, surveyor, self._sessions)
        assist = Assist(
            *(answers, plan.prompts, builder),
            models=self.router.models,
            limits=assist_limits_of(settings),
            extras=Extras(self.shadows, self._syntax, self.telemetry.count),
        )
        return House(plan, timeouts, streams, identify, intake, answers, assist, tokens, ceilings)

    def _pipeline(
        self, plan: Plan, timeouts: Timeouts, identify: Identify, means: Means
    ) -> Pipeline:
        clock, retries, cost = time.monotonic, plan.settings.retries, self.telemetry.calls.cost
        rule = RetryRule(retry_limit(plan.fleet, retries.limit), retries.backoff_s, retries.jitter)
        attempts = Attempts(
            self.router, self._wire, self.telemetry, timeouts, clock, self._providers
        )
        return Pipeline(
            identify,
            Guard(
                plan.chain,
                on_verdict=self.telemetry.verdict,
                clock=clock,
                trace=plan.settings.telemetry.trace_policies,
            ),
            self.admission,
            Engine(self.router, attempts, rule, clock=clock, random=random.random, means=means),
            self.telemetry,
            Books(clock, self.keeping.ledger, plan.prices, on_cost=cost, floor=self.floor),
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
            self._discovery.trouble = ""
        self.house = house
        self.admission.adopt(queue_limits_of(house.settings))
        retries, hedging = house.settings.retries, house.settings.hedging
        self._budget.adopt(retries.budget, retries.floor)
        self._hedging.adopt(hedging.models, hedging.budget, hedging.min_samples)

    def _server(self) -> OneServer | None:
        fleet = self.house.fleet
        return None if fleet.config is not None else OneServer(fleet.base_url, fleet.key)

    def _take_models(self, server: OneServer, names: tuple[str, ...]) -> None:
        """They have changed, or are the first."""
        if names != self.router.models():
            found = litellm_config.from_upstream(server.base_url, server.key, names)
            self.router.load(found.as_router_kwargs())
            _log.info("models of %s: %s", server.base_url, ", ".join(names))

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
            await stack.enter_async_context(self.keeping.running())
            await stack.enter_async_context(watching(self.keys, self.tokens))
            if self._shared is not None:
                await stack.enter_async_context(self._shared.writing())
            await stack.enter_async_context(self.counting.running())
            await stack.enter_async_context(self._wire)
            stack.push_async_callback(self._providers.close)
            stack.callback(self.router.close)
            if self.house.fleet.config is not None:
                self.router.load(self.house.fleet.config.as_router_kwargs())
            await stack.enter_async_context(self._cooldowns.running(self.router))
            await stack.enter_async_context(self._discovery.watching())
            await stack.enter_async_context(self._health.watching())
            stack.push_async_callback(self.shadows.aclose)
            stack.enter_context(self.telemetry.pushing(self.look))
            yield


@asynccontextmanager
async def open_gateway(settings: Settings, fleet: Fleet | None = None) -> AsyncIterator[Gateway]:
    """A running gateway with no HTTP in front: what `gateway.client` is for. Without a fleet it is
    read from the settings; the embedded model must then have been started by the caller."""
    gateway = Gateway(settings, fleet or fleet_of(settings))
    async with gateway.running():
        yield gateway
