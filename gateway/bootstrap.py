"""Settings in, running gateway out: the only place that constructs adapters and joins the rooms."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from gateway.adapters import litellm_config, policy_files, prompts
from gateway.adapters.discovery import NotDiscovered, model_names
from gateway.adapters.embedded import MODEL
from gateway.adapters.litellm_config import LiteLLMConfig, Source
from gateway.adapters.telemetry import Telemetry
from gateway.adapters.tokens import ReplicaTokens, read_tokenizers
from gateway.adapters.transport import AiohttpWire
from gateway.domain.call import Caller
from gateway.domain.document import ConfigError, Problem
from gateway.domain.limits import QueueLimits, Timeouts
from gateway.domain.policy import Link, Tools
from gateway.domain.retry import RetryRule
from gateway.flow.admission import Admission
from gateway.flow.assist import Assist, AssistLimits
from gateway.flow.attempt import Attempts
from gateway.flow.engine import Engine
from gateway.flow.guard import Guard
from gateway.flow.identify import Identify
from gateway.flow.pipeline import Pipeline
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.adapters.litellm_router import LiteLLMRouter

_log = logging.getLogger("gateway.bootstrap")
_ASK_AGAIN_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where the models come from: `config` (litellm_config.yaml), or one server at `base_url`
    whose model names it tells itself."""

    source: Source
    config: LiteLLMConfig | None = None
    base_url: str = ""
    api_key: SecretStr | None = None

    @property
    def key(self) -> str | None:
        """The server's key in clear, for the wire alone."""
        return self.api_key.get_secret_value() if self.api_key else None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `gateway check` found: problems, and a line for each thing that is fine."""

    problems: list[Problem]
    lines: list[str]


class Gateway:
    """Everything that a door stands on. It works inside `async with gateway.running()`."""

    def __init__(self, settings: Settings, fleet: Fleet) -> None:
        # Imported here because LiteLLM takes seconds to import, and `gateway check` needs none.
        from gateway.adapters.litellm_router import LiteLLMRouter

        self.settings = settings
        self.fleet = fleet
        self.timeouts = timeouts_of(settings)
        # Why the one server that tells its own models does not, while that is so.
        self.trouble = "" if fleet.config else f"{fleet.base_url} has not told its models yet"
        self.router: LiteLLMRouter = LiteLLMRouter(time.monotonic)
        self.telemetry = Telemetry(settings.telemetry, self.router.models)
        self.prompts = prompts.load(settings.paths.prompts_dir)
        self._chain = _chain(settings)
        self._wire = AiohttpWire(connect=settings.timeouts.connect_s)
        self.tokens = ReplicaTokens(
            self._wire,
            self.router.replicas,
            tokenizers=settings.assist.tokenizers,
            clock=time.monotonic,
        )
        self.answers = self._pipeline()
        self.assist = Assist(
            self.answers,
            self.prompts,
            self.tokens,
            models=self.router.models,
            limits=AssistLimits(
                model=settings.assist.model,
                explain_tokens=settings.assist.explain_max_tokens,
                rewrite_tokens=settings.assist.rewrite_max_tokens,
            ),
        )

    def _pipeline(self) -> Pipeline:
        settings, clock = self.settings, time.monotonic
        queue = settings.queue
        limits = QueueLimits(queue.slots_per_replica, queue.size, queue.wait_s)
        retries = settings.retries
        rule = RetryRule(_retry_limit(self.fleet, retries.limit), retries.backoff_s, retries.jitter)
        attempts = Attempts(self.router, self._wire, self.telemetry, self.timeouts, clock)
        return Pipeline(
            Identify(keys_of(settings)),
            Guard(self._chain, on_verdict=self.telemetry.verdict, clock=clock),
            Admission(self._capacity, limits, clock),
            Engine(self.router, attempts, rule, clock=clock, random=random.random),
            self.telemetry,
            clock,
        )

    def _capacity(self, model: str) -> int:
        default = self.settings.queue.slots_per_replica
        return sum(r.max_parallel or default for r in self.router.replicas(model))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connections, LiteLLM's Router and the watch over the upstream's model names live in
        here; all are closed at the end, spans sent last."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.telemetry.aclose)
            await stack.enter_async_context(self._wire)
            stack.callback(self.router.close)
            if self.fleet.config is not None:
                self.router.load(self.fleet.config.as_router_kwargs())
            else:
                await self._look_for_models()
                watch = asyncio.create_task(self._watch_models())
                stack.push_async_callback(_ended, watch)
            yield

    async def _look_for_models(self) -> bool:
        """Ask the one server for its models, and take them if they have changed."""
        try:
            names = await model_names(self._wire, self.fleet.base_url, self.fleet.key)
        except NotDiscovered as error:
            self.trouble = str(error)
            return False
        self.trouble = ""
        if names != self.router.models():
            fleet = litellm_config.from_upstream(self.fleet.base_url, self.fleet.key, names)
            self.router.load(fleet.as_router_kwargs())
            _log.info("models of %s: %s", self.fleet.base_url, ", ".join(names))
        return True

    async def _watch_models(self) -> None:
        known = not self.trouble
        if not known:
            _log.warning("%s; asking again every %g s", self.trouble, _ASK_AGAIN_SECONDS)
        while True:
            await asyncio.sleep(_LOOK_AGAIN_SECONDS if known else _ASK_AGAIN_SECONDS)
            # A server that is gone for a while keeps its names: the next answer tells.
            known = await self._look_for_models()


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


def fleet_of(settings: Settings, embedded_url: str = "") -> Fleet:
    """Which models this gateway serves. ConfigError for a broken litellm_config.yaml. For the
    embedded model, `embedded_url` is where it listens."""
    paths, upstream = settings.paths, settings.upstream
    given = paths.litellm_config_given
    config = litellm_config.read(paths.litellm_config, os.environ, required=given)
    source = litellm_config.source(
        given=given, configured=config.configured, upstream=upstream.configured
    )
    if source == "file":
        return Fleet(source, config)
    if source == "upstream":
        return Fleet(source, None, upstream.url, upstream.api_key)
    return Fleet(source, None, embedded_url)


def keys_of(settings: Settings) -> dict[str, Caller]:
    """SHA-256 of each key → whose it is."""
    return {key.sha256: Caller(team.name, key.id) for team in settings.teams for key in team.keys}


def timeouts_of(settings: Settings) -> Timeouts:
    """The bounds of time, as the rooms know them."""
    times = settings.timeouts
    return Timeouts(
        connect=times.connect_s,
        first_token=times.first_token_s,
        idle=times.idle_s,
        total=times.total_s,
        stream_total=times.stream_total_s,
    )


def _retry_limit(fleet: Fleet, ours: int) -> int:
    """The smaller of our own limit and LiteLLM's num_retries, where that is set."""
    settings = fleet.config.as_router_kwargs() if fleet.config else {}
    theirs = settings.get("num_retries")
    return min(ours, theirs) if isinstance(theirs, int) else ours


def _chain(settings: Settings) -> list[Link]:
    paths = settings.paths
    tools = Tools(now=time.time, random=random.random)
    file = str(paths.config_dir / "policies.yaml")
    return policy_files.load(settings.policies, paths.policies_dir, tools, file=file)


def check(settings: Settings) -> CheckReport:
    """Everything that `serve` would read, checked without serving and without LiteLLM."""
    problems: list[Problem] = []
    lines: list[str] = []
    if exposed := settings.exposure_problem():
        problems.append(exposed)
    for look in (_check_fleet, _check_policies, _check_prompts, _check_tokenizers):
        try:
            lines += look(settings)
        except ConfigError as error:
            problems += error.problems
    count = sum(len(team.keys) for team in settings.teams)
    lines.append(f"keys: {count}" if count else "keys: none, so every caller on loopback is let in")
    return CheckReport(problems, lines)


def _check_fleet(settings: Settings) -> list[str]:
    fleet = fleet_of(settings)
    if fleet.source == "embedded":
        return [f"models: none configured, so the embedded {MODEL}"]
    if fleet.config is None:
        return [f"models: those that {fleet.base_url} tells"]
    names = dict.fromkeys(deployment.model_name for deployment in fleet.config.model_list)
    count = len(fleet.config.model_list)
    lines = [f"models: {len(names)} ({', '.join(names)}) on {count} replica(s)"]
    if fleet.config.ignored:
        lines.append(f"without effect here: {', '.join(fleet.config.ignored)}")
    return lines


def _check_policies(settings: Settings) -> list[str]:
    links = _chain(settings)
    return [f"policies: {len(links)} ({', '.join(link.name for link in links) or 'none'})"]


def _check_tokenizers(settings: Settings) -> list[str]:
    files = read_tokenizers(settings.assist.tokenizers)
    return [f"tokenizers: {', '.join(files)}"] if files else []


def _check_prompts(settings: Settings) -> list[str]:
    names = prompts.load(settings.paths.prompts_dir).names()
    return [f"prompts: {len(names)} ({', '.join(names)})"]
