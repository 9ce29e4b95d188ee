"""The spans of one call, and the W3C headers that tie them to those of others.

    POST /v1/chat/completions       SERVER    the client's request; continues its traceparent
    ├── policy <name>               INTERNAL  one verdict
    ├── context.build               INTERNAL  /api/ai/*: what goes into the prompt
    ├── render_prompt <name>        INTERNAL  /api/ai/*: the prompt's words
    ├── queue.wait                  INTERNAL  the wait for a slot, where there was one
    └── chat <model>                CLIENT    the logical inference; GenAI names
        └── POST                    CLIENT    one attempt on one replica; its traceparent goes out

While a call runs, only facts are gathered: most of what a span costs is paid by the thread that
sends it off, and nothing for a trace that is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind

from gateway.domain import genai
from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind
from gateway.domain.genai import Attributes
from gateway.domain.metric import Convention
from gateway.domain.ports import Replica
from gateway.domain.step import Step

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_ids = RandomIdGenerator()


@dataclass(frozen=True, slots=True)
class Origin:
    """A span that others may be children of, in this process or another. `state` is W3C's
    tracestate as it came in."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""


@dataclass(slots=True)
class Span:
    """One that has ended. Times in monotonic seconds; `parent` 0 for none; `error` is its
    error.type."""

    id: int
    parent: int
    name: str
    kind: SpanKind
    began: float
    ended: float
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


def parse_traceparent(header: str | None, state: str | None = None) -> Origin | None:
    """W3C's traceparent, with the tracestate beside it; None where it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(header.strip()) if header else None
    if match is None or (match[1] == "00" and match[5]):
        return None
    trace_id, span_id = int(match[2], 16), int(match[3], 16)
    if not trace_id or not span_id:
        return None
    return Origin(trace_id, span_id, bool(int(match[4], 16) & _SAMPLED), state or "")


def traceparent(origin: Origin) -> str:
    """The header that makes its reader a child of `origin`."""
    return f"00-{origin.trace_id:032x}-{origin.span_id:016x}-{int(origin.sampled):02x}"


def new_trace_id() -> int:
    """128 bits by chance, never 0."""
    return _ids.generate_trace_id()


def new_span_id() -> int:
    """64 bits by chance, never 0."""
    return _ids.generate_span_id()


class CallTrace:
    """Gathers what happens to one call. `origin` is its server span, `parent` that of whoever sent
    it; `clock` gives monotonic seconds."""

    __slots__ = ("_attempts", "_call", "_clock", "_inference", "_verdicts", "origin", "parent")

    def __init__(
        self, call: Call, parent: Origin | None, origin: Origin, clock: Callable[[], float]
    ) -> None:
        self.origin = origin
        self.parent = parent
        self._call = call
        self._clock = clock
        self._verdicts: list[tuple[str, str, float, float]] = []
        self._inference = 0
        self._attempts: list[AttemptTrace] = []

    def verdict(self, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, just now, after `seconds`."""
        now = self._clock()
        self._verdicts.append((policy, decision, now - seconds, now))

    def attempt(self, replica: Replica, number: int) -> AttemptTrace:
        """An attempt begins; with the first one, the inference."""
        if not self._inference:
            self._inference = new_span_id()
        own = self.origin
        origin = Origin(own.trace_id, new_span_id(), own.sampled, own.state)
        attempt = AttemptTrace(origin, replica, number, self._clock)
        self._attempts.append(attempt)
        return attempt

    def close(self, outcome: Outcome, convention: Convention) -> ClosedTrace:
        """The call is settled, and let go of: no prompt waits in memory for a collector."""
        call, asked = self._call, {}
        if self._attempts:
            asked = genai.request_attributes(call, convention)
        about = _About(call.id, call.route, call.caller, call.received, call.stream, call.steps)
        name = genai.span_name(call) if self._attempts else ""
        del self._call
        return ClosedTrace(self, about, (name, asked), outcome, self._clock())


@dataclass(frozen=True, slots=True)
class _About:
    """What spans tell of a call."""

    id: str
    route: str
    caller: Caller
    received: float
    stream: bool
    steps: tuple[Step, ...]


class ClosedTrace:
    """All that is known of one call, of which its spans can be made, in any thread. `inferred` is
    the name of the inference and what it asked for."""

    __slots__ = ("_about", "_inferred", "_now", "_outcome", "_trace")

    def __init__(
        self,
        trace: CallTrace,
        about: _About,
        inferred: tuple[str, Attributes],
        outcome: Outcome,
        now: float,
    ) -> None:
        self._trace = trace
        self._about = about
        self._inferred = inferred
        self._outcome = outcome
        self._now = now

    @property
    def origin(self) -> Origin:
        """Its server span."""
        return self._trace.origin

    @property
    def parent(self) -> Origin | None:
        """That of whoever sent the call."""
        return self._trace.parent

    def __len__(self) -> int:
        attempts = len(self._trace._attempts)
        return 1 + len(self._trace._verdicts) + len(self._about.steps) + attempts + bool(attempts)

    def spans(self) -> list[Span]:
        """All of them, the server span first."""
        trace, about, error = self._trace, self._about, genai.error_type(self._outcome)
        found, own = [self._server()], trace.origin.span_id
        for policy, decision, began, ended in trace._verdicts:
            told: Attributes = {"gw.policy.decision": str(decision)}
            found.append(_inner(own, f"policy {policy}", began, ended, told))
        for step in about.steps:
            span = _inner(own, step.name, step.began, step.ended, dict(step.facts))
            span.error = step.error or None
            found.append(span)
        if attempts := trace._attempts:
            found.append(self._inference(error))
            found += [one.span(trace._inference, error, self._now) for one in attempts]
        return found

    def _inference(self, error: str | None) -> Span:
        trace, outcome, (name, asked) = self._trace, self._outcome, self._inferred
        attempts = trace._attempts
        attributes = asked | genai.outcome_attributes(outcome, stream=self._about.stream)
        attributes |= attempts[-1].address
        for one in attempts:
            if one.replica.id == outcome.replica:
                attributes |= one.address
        began = attempts[0].began
        ended = max(self._now if one.ended is None else one.ended for one in attempts)
        own, above = trace._inference, trace.origin.span_id
        return Span(own, above, name, SpanKind.CLIENT, began, ended, attributes, error)

    def _server(self) -> Span:
        about, outcome, trace = self._about, self._outcome, self._trace
        attributes: Attributes = {
            "http.request.method": "POST",
            "http.route": about.route,
            "url.path": about.route,
            "http.response.status_code": outcome.status,
            "gw.request_id": genai.short(about.id),
            "gw.outcome": outcome.kind.value,
            "gw.team": genai.short(about.caller.team),
            "gw.key_id": genai.short(about.caller.key_id),
            "gw.attempts": len(outcome.attempts),
            "gw.queue_seconds": outcome.queue_seconds,
        }
        if outcome.code:
            attributes["gw.error.code"] = outcome.code
        error: str | None = None
        # By HTTP's conventions a 4xx, or a client that left, is no error of the server.
        if outcome.kind is OutcomeKind.TRUNCATED:
            error = outcome.kind.value
        elif outcome.status >= 500 and outcome.kind is not OutcomeKind.CANCELLED:
            error = str(outcome.status)
        name, began = f"POST {about.route}", about.received
        above = trace.parent.span_id if trace.parent is not None else 0
        own, ended = trace.origin.span_id, max(self._now, began)
        return Span(own, above, name, SpanKind.SERVER, began, ended, attributes, error)


class AttemptTrace:
    """One attempt. It ends when its result is known, or with its call."""

    __slots__ = ("_clock", "_number", "_result", "_status", "began", "ended", "origin", "replica")

    def __init__(
        self, origin: Origin, replica: Replica, number: int, clock: Callable[[], float]
    ) -> None:
        self.origin = origin
        self.replica = replica
        self.began = clock()
        self.ended: float | None = None
        self._number = number
        self._clock = clock
        self._result = ""
        self._status = 0

    @property
    def address(self) -> Attributes:
        """Of the replica, as OpenTelemetry names it."""
        return _address(self.replica.provider, self.replica.base_url)

    def end(self, attempt: Attempt) -> None:
        """Its result is known. Once."""
        if self.ended is None:
            self.ended = self._clock()
            self._result, self._status = str(attempt.result), attempt.status

    def span(self, inference: int, error: str | None, now: float) -> Span:
        """As a child of `inference`. One that was cut short, by its client or by another that was
        faster, has the call's `error`."""
        attributes: Attributes = {"http.request.method": "POST", **self.address}
        attributes["gw.replica"] = genai.short(self.replica.id)
        if self._number > 1:
            attributes["http.request.resend_count"] = self._number - 1
        if self._status:
            attributes["http.response.status_code"] = self._status
        if self._result and self._result != OutcomeKind.CANCELLED.value:
            error = None if self._result == "ok" else self._result
        ended = now if self.ended is None else self.ended
        own = self.origin.span_id
        return Span(own, inference, "POST", SpanKind.CLIENT, self.began, ended, attributes, error)


def _inner(parent: int, name: str, began: float, ended: float, attributes: Attributes) -> Span:
    own = new_span_id()
    return Span(own, parent, name, SpanKind.INTERNAL, began, max(began, ended), attributes)


@lru_cache(maxsize=1024)
def _address(provider: str, base_url: str) -> Attributes:
    if provider:  # LiteLLM knows the address
        return {"gen_ai.provider.name": genai.short(provider)}
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}
