"""What happens to a call, told to metrics, spans and the log. Satisfies `ports.Telemetry`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from gateway.adapters.call_meters import RESULTS, CallMeters
from gateway.adapters.house_meters import HouseMeters
from gateway.adapters.labels import Labels
from gateway.adapters.logs import log_request
from gateway.adapters.meters import Meters
from gateway.adapters.otlp_metrics import MetricsPush, PushSettings
from gateway.adapters.spans import AttemptTrace, CallTrace, Origin, parse_traceparent, traceparent
from gateway.adapters.traces import Traces, TraceSettings
from gateway.domain import metrics
from gateway.domain.call import Attempt, Call, Outcome
from gateway.domain.metric import Convention
from gateway.domain.metrics import Metric, exported
from gateway.domain.ports import Replica


@dataclass(slots=True)
class _Open:
    """What is kept of a call between its start and its end. It holds the call itself, so that the
    address under which it is filed is not used again. `flying` is its name among those in
    flight."""

    call: Call
    flying: str
    parent: Origin | None
    trace: CallTrace | None
    probe: Probe | None = None
    fault: str = ""


class TelemetrySettings(TraceSettings, PushSettings, Protocol):
    """What of the settings concerns traces and metrics."""

    @property
    def genai_semconv(self) -> str: ...


class Telemetry:
    """One for each process, kept across reloads of the configuration: counters only ever grow.
    `calls` and `house` tell its `meters`.

    `clock` is the one that stamped `call.received`; `keep` is given each settled call, its outcome
    and its trace id. Calls are told apart as objects, not by id:
    two clients may send the same request id.
    """

    def __init__(
        self,
        settings: TelemetrySettings,
        known_models: Callable[[], Collection[str]],
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[Call, Outcome, str | None], None] = lambda call, outcome, trace_id: None,
    ) -> None:
        self._keep = keep
        told = exported(Convention(settings.genai_semconv))
        self.meters, labels = Meters(told), Labels(known_models)
        self.calls = CallMeters(self.meters, labels)
        self.house = HouseMeters(self.meters, labels)
        self._traces = Traces(settings, clock, lambda count: self.house.dropped("spans", count))
        self._push = MetricsPush(
            settings, self.meters.registry, lambda count: self.house.dropped("metrics", count)
        )
        self._open: dict[int, _Open] = {}

    def pushing(self, look: Callable[[], Awaitable[object]]) -> AbstractContextManager[None]:
        """Inside it, metrics are pushed, where that is set; `look` brings them up to date."""
        return self._push.pushing(look)

    def started(self, call: Call) -> None:
        """A call comes in."""
        flying = self.calls.began(call)
        parent = parse_traceparent(call.traceparent, call.tracestate)
        trace = self._traces.begin(call, parent)
        if trace is not None:
            call.reply_headers["traceparent"] = traceparent(trace.origin)
        self._open[id(call)] = _Open(call, flying, parent, trace)

    def verdict(self, call: Call, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, after `seconds`."""
        self.calls.verdict(policy, decision, seconds)
        kept = self._open.get(id(call))
        if kept is not None and kept.trace is not None:
            kept.trace.verdict(policy, decision, seconds)

    def attempt(self, call: Call, replica: Replica, number: int) -> Probe:
        """An attempt begins; `number` counts from 1."""
        kept = self._open.get(id(call))
        if kept is None:
            return Probe(self.calls, None, replica, None)
        kept.flying = self.calls.moved(call, kept.flying)
        if number > 1:
            self.calls.retried(kept.fault)
        span = kept.trace.attempt(replica, number) if kept.trace else None
        kept.probe = Probe(self.calls, kept, replica, span)
        return kept.probe

    def count(self, metric: Metric, *labels: str) -> None:
        """One more of what a counter counts."""
        self.house.count(metric, *labels)

    def settled(self, call: Call, outcome: Outcome) -> None:
        """The end of a call. A second one, or one without `started`, does nothing."""
        kept = self._open.pop(id(call), None)
        if kept is None:
            return
        if kept.probe is not None:
            kept.probe.abandon(outcome.kind.value)
            kept.probe = None  # which knows `kept`: no cycle is left to the garbage collector
        told = kept.trace is not None and self._traces.finish(kept.trace, outcome)
        span = kept.trace.origin if kept.trace else kept.parent
        trace_id = f"{span.trace_id:032x}" if span else None
        self.calls.settled(call, outcome, kept.flying, trace_id if told else None)
        log_request(call, outcome, span)
        self._keep(call, outcome, trace_id)

    def look(self, connections: Mapping[str, tuple[int, int]]) -> None:
        """What is only told when somebody looks: connections to each replica, in use and idle; what
        waits to be sent."""
        self.house.connections(connections)
        self.house.waiting("spans", self._traces.pending, self._traces.capacity)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page of /metrics in the format that `accept` asks for, and its content type."""
        return self.meters.render(accept)

    async def aclose(self) -> None:
        """Send the last spans and metrics; at most 3 s."""
        await asyncio.gather(self._traces.aclose(), self._push.aclose())


class Probe:
    """Watches one attempt, for the engine."""

    __slots__ = ("_calls", "_done", "_kept", "_replica", "_span")

    def __init__(
        self, calls: CallMeters, kept: _Open | None, replica: Replica, span: AttemptTrace | None
    ) -> None:
        self._calls = calls
        self._kept = kept
        self._replica = replica
        self._span = span
        self._done = False

    @property
    def traceparent(self) -> str | None:
        """The header for the replica: the attempt's own span, or, where nothing is traced here,
        what the client sent, if it was well-formed."""
        if self._span is not None:
            return traceparent(self._span.origin)
        parent = self._kept.parent if self._kept else None
        return traceparent(parent) if parent else None

    def end(self, attempt: Attempt) -> None:
        """The attempt's result is known: once."""
        if self._done:
            return
        self._done = True
        self._calls.attempted(self._replica.id, attempt.result)
        if self._kept is not None and attempt.result != "ok":
            self._kept.fault = attempt.result if attempt.result in RESULTS else metrics.OTHER
        if self._span is not None:
            self._span.end(attempt)

    def abandon(self, outcome: str) -> None:
        """The call is over before the result was known."""
        if not self._done:
            self._done = True
            self._calls.attempted(self._replica.id, outcome)
