"""What happens to a call, told as metrics, spans and a log line. Satisfies `ports.Telemetry`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from opentelemetry.trace import SpanContext

from gateway.adapters.logs import log_request
from gateway.adapters.meters import Meters
from gateway.adapters.spans import AttemptTrace, CallTrace, parse_traceparent, traceparent
from gateway.adapters.traces import Traces, TraceSettings
from gateway.domain import genai, limit_metrics, metrics
from gateway.domain.call import Attempt, Call, Outcome, PromptRef
from gateway.domain.label_values import LabelValues
from gateway.domain.limits import Priority
from gateway.domain.metrics import Metric
from gateway.domain.ports import Replica
from gateway.domain.prices import MILLION
from gateway.domain.retry import Fault
from gateway.domain.standing import State

_RESULTS = frozenset(fault.value for fault in Fault) | {"ok", "cancelled"}


@dataclass(slots=True)
class _Open:
    """What is kept of a call between its start and its end. It holds the call itself, so that the
    address under which it is filed is not used again."""

    call: Call
    model: str
    parent: SpanContext | None
    trace: CallTrace | None
    probe: Probe | None = None
    fault: str = ""


class Telemetry:
    """One for each process, kept across reloads of the configuration: counters only ever grow.

    `clock` is the one that stamped `call.received`; `keep` is given each settled call, its outcome
    and its trace id. Calls are told apart as objects, not by id:
    two clients may send the same request id.
    """

    def __init__(
        self,
        settings: TraceSettings,
        known_models: Callable[[], Collection[str]],
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[Call, Outcome, str | None], None] = lambda call, outcome, trace_id: None,
    ) -> None:
        self._known_models = known_models
        self._keep = keep
        self._meters = Meters()
        self._traces = Traces(settings, clock)
        self._open: dict[int, _Open] = {}
        self._routes = LabelValues(64)
        self._teams = LabelValues(50)
        self._replicas = LabelValues(256)
        self._policies = LabelValues(100)
        self._decisions = LabelValues(16)
        self._shas = LabelValues(1000)
        self._prompts, self._texts, self._variants = (
            LabelValues(100),
            LabelValues(200),
            LabelValues(50),
        )
        self._told: dict[Metric, str] = {}

    def started(self, call: Call) -> None:
        """A call comes in."""
        model = self._model(call)
        parent = parse_traceparent(call.traceparent)
        trace = self._traces.begin(call, parent)
        self._open[id(call)] = _Open(call, model, parent, trace)
        self._meters.add(metrics.INFLIGHT, 1, model)

    def verdict(self, call: Call, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, after `seconds`."""
        names = (self._policies.label(policy), self._decisions.label(decision))
        self._meters.add(metrics.POLICY_DECISIONS, 1, *names)
        self._meters.observe(limit_metrics.POLICY_SECONDS, seconds, names[0])
        kept = self._open.get(id(call))
        if kept is not None and kept.trace is not None:
            kept.trace.verdict(policy, decision, seconds)

    def rate_limited(self, policy: str, scope: str) -> None:
        """A limit refused a call."""
        self._meters.add(limit_metrics.RATE_LIMITED, 1, self._policies.label(policy), scope)

    def budget_used(self, team: str, policy: str, ratio: float) -> None:
        """What a team has used of a budget, from 0."""
        names = (self._policies.label(policy), self._teams.label(team))
        self._meters.put(limit_metrics.BUDGET_USED, ratio, *names)

    def budget_alert(self, policy: str, percent: int) -> None:
        """A budget has reached so much of itself."""
        self._meters.add(limit_metrics.BUDGET_ALERTS, 1, self._policies.label(policy), str(percent))

    def cost(self, call: Call, cost: int) -> None:
        """A call was entered in the ledger with this cost, in micro-units."""
        if cost > 0:
            team = self._teams.label(call.caller.team)
            self._meters.add(limit_metrics.COST, cost / MILLION, team, self._model(call))

    def queued(self, model: str, priority: Priority, change: int) -> None:
        """A call begins (1) or ends (-1) to wait for a slot of a configured model."""
        self._meters.add(metrics.QUEUE_DEPTH, change, model, priority.value)

    def shed(self, model: str, priority: Priority) -> None:
        """A call was refused for want of a slot."""
        self._meters.add(metrics.SHED, 1, model, priority.value)

    def attempt(self, call: Call, replica: Replica, number: int) -> Probe:
        """An attempt begins; `number` counts from 1."""
        kept = self._open.get(id(call))
        if kept is None:
            return Probe(self, None, replica, None)
        self._move(kept)
        if number > 1:
            self._meters.add(metrics.RETRIES, 1, kept.fault or metrics.OTHER)
        span = kept.trace.attempt(replica, number) if kept.trace else None
        kept.probe = Probe(self, kept, replica, span)
        return kept.probe

    def replica(self, replica: str, before: State | None, after: State | None) -> None:
        """A replica's state has changed; None before it is known, and after it is gone."""
        label = self._replicas.label(replica)
        for state, change in ((before, -1), (after, 1)):
            if state is not None:
                self._meters.add(metrics.REPLICA_STATE, change, label, state.value)
                self._meters.add(metrics.UPSTREAM_UP, change * state.up, label)

    def count(self, metric: Metric, *labels: str) -> None:
        """One more of what a counter counts; replicas are bounded as everywhere."""
        named = zip(metric.labels, labels, strict=True)
        bounded = [self._replicas.label(v) if n == "replica" else v for n, v in named]
        self._meters.add(metric, 1, *bounded)

    def records_shared(self, change: int) -> None:
        """This process begins (1) or ceases (-1) to reach the store that all share."""
        self._meters.add(metrics.RECORDS_SHARED, change)

    def change(self, metric: Metric, change: int) -> None:
        """A gauge or a counter without labels has so many more, or less."""
        self._meters.add(metric, change)

    def records_dropped(self, count: int) -> None:
        """So many records never got there."""
        self._meters.add(metrics.RECORDS_DROPPED, count)

    def settled(self, call: Call, outcome: Outcome) -> None:
        """The end of a call. A second one, or one without `started`, does nothing."""
        kept = self._open.pop(id(call), None)
        if kept is None:
            return
        if kept.probe is not None:
            kept.probe.abandon(outcome.kind.value)
            kept.probe = None  # which knows `kept`: no cycle is left to the garbage collector
        self._measure(call, outcome, kept)
        if kept.trace is not None:
            kept.trace.finish(outcome)
        span = kept.trace.context if kept.trace else kept.parent
        log_request(call, outcome, span)
        self._keep(call, outcome, f"{span.trace_id:032x}" if span else None)

    def configured(self, sha: str, prompts: str = "") -> None:
        """This configuration holds from now on, and this set of prompts."""
        for metric, now in ((metrics.CONFIG_INFO, sha), (metrics.PROMPTS_INFO, prompts)):
            label, was = self._shas.label(now), self._told.get(metric)
            if not now or label == was:
                continue
            if was is not None:
                self._meters.remove(metric, was)
            self._meters.add(metric, 1, label)
            self._told[metric] = label

    def reloaded(self, result: str) -> None:
        """A reload is over: "ok" or "failed"."""
        self._meters.add(metrics.CONFIG_RELOADS, 1, result)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page of /metrics in the format that `accept` asks for, and its content type."""
        return self._meters.render(accept)

    async def aclose(self) -> None:
        """Send the last spans; at most 3 s."""
        await self._traces.aclose()

    def attempted(self, replica: Replica, result: str) -> None:
        """For probes: one attempt is over."""
        outcome = result if result in _RESULTS else metrics.OTHER
        self._meters.add(metrics.ATTEMPTS, 1, self._replicas.label(replica.id), outcome)

    def _move(self, kept: _Open) -> None:
        """A policy, or an /api/ai/* route, may have chosen the model after the call came in."""
        model = self._model(kept.call)
        if model != kept.model:
            self._meters.add(metrics.INFLIGHT, -1, kept.model)
            self._meters.add(metrics.INFLIGHT, 1, model)
            kept.model = model

    def _measure(self, call: Call, outcome: Outcome, kept: _Open) -> None:
        meters, model = self._meters, self._model(call)
        route, team = self._routes.label(call.route), self._teams.label(call.caller.team)
        meters.add(metrics.INFLIGHT, -1, kept.model)
        meters.add(metrics.REQUESTS, 1, route, model, team, outcome.kind.value)
        meters.observe(metrics.DURATION, outcome.seconds, route, model)
        if outcome.attempts or outcome.queue_seconds > 0:
            meters.observe(metrics.QUEUE_WAIT, outcome.queue_seconds, model)
        names = (call.endpoint.operation, genai.PROVIDER, model)
        if call.stream and outcome.first_token_seconds is not None:
            meters.observe(metrics.FIRST_TOKEN, outcome.first_token_seconds, *names)
        if (usage := outcome.counted) is not None:
            meters.add(metrics.INPUT_TOKENS, max(0, usage.prompt), *names)
            meters.add(metrics.OUTPUT_TOKENS, max(0, usage.completion), *names)
            meters.add(metrics.CACHED_TOKENS, max(0, usage.cached), *names)
        if call.prompt is not None:
            self._measure_prompt(call, call.prompt, outcome)

    def _measure_prompt(self, call: Call, prompt: PromptRef, outcome: Outcome) -> None:
        shadow = "shadow:" if call.shadow else ""
        text, name = self._texts.label(prompt.text), self._prompts.label(prompt.name)
        variant = self._variants.label(shadow + prompt.variant)
        self._meters.add(metrics.PROMPT_REQUESTS, 1, text, variant, outcome.kind.value)
        self._meters.observe(metrics.PROMPT_DURATION, outcome.seconds, name, variant)
        if outcome.counted is not None:
            tokens = max(0, outcome.counted.completion)
            self._meters.add(metrics.PROMPT_TOKENS, tokens, name, variant)

    def _model(self, call: Call) -> str:
        return call.model if call.model in self._known_models() else metrics.OTHER


class Probe:
    """Watches one attempt, for the engine."""

    __slots__ = ("_done", "_kept", "_replica", "_span", "_telemetry")

    def __init__(
        self, telemetry: Telemetry, kept: _Open | None, replica: Replica, span: AttemptTrace | None
    ) -> None:
        self._telemetry = telemetry
        self._kept = kept
        self._replica = replica
        self._span = span
        self._done = False

    @property
    def traceparent(self) -> str | None:
        """The header for the replica: the attempt's own span, or, where nothing is traced here,
        what the client sent, if it was well-formed."""
        if self._span is not None:
            return self._span.traceparent
        parent = self._kept.parent if self._kept else None
        return traceparent(parent) if parent else None

    def end(self, attempt: Attempt) -> None:
        """The attempt's result is known: once."""
        if self._done:
            return
        self._done = True
        self._telemetry.attempted(self._replica, attempt.result)
        if self._kept is not None and attempt.result != "ok":
            self._kept.fault = attempt.result if attempt.result in _RESULTS else metrics.OTHER
        if self._span is not None:
            self._span.end(attempt)

    def abandon(self, outcome: str) -> None:
        """The call is over before the result was known."""
        if not self._done:
            self._done = True
            self._telemetry.attempted(self._replica, outcome)
