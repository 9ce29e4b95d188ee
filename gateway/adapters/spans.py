"""The spans of one call, and the W3C header that ties them to those of others.

    POST /v1/chat/completions       SERVER    the client's request; continues its traceparent
    ├── policy <name>               INTERNAL  one verdict
    └── chat <model>                CLIENT    the logical inference; GenAI names
        └── POST                    CLIENT    one attempt on one replica; its traceparent goes out

No span is ever "current": a call is answered by an async generator, and a context that is attached
around a `yield` is detached in another task.
"""

from __future__ import annotations

import re
import time
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from gateway.domain import genai
from gateway.domain.call import Attempt, Call, Outcome, OutcomeKind
from gateway.domain.ports import Replica

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def parse_traceparent(header: str | None) -> SpanContext | None:
    """W3C's traceparent as the context of a remote span; None where it is absent or malformed."""
    match = _TRACEPARENT.fullmatch(header.strip()) if header else None
    if match is None or (match[1] == "00" and match[5]):
        return None
    flags = TraceFlags(int(match[4], 16) & TraceFlags.SAMPLED)
    context = SpanContext(int(match[2], 16), int(match[3], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None


def traceparent(context: SpanContext) -> str:
    """The header that makes its reader a child of `context`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


class CallTrace:
    """The open spans of one call. `finish` ends whatever is still open."""

    __slots__ = ("_attempt", "_call", "_inference", "_root", "_server", "_tracer")

    def __init__(
        self, tracer: Tracer, call: Call, parent: SpanContext | None, start_ns: int
    ) -> None:
        self._tracer = tracer
        self._call = call
        self._server = tracer.start_span(
            f"POST {call.route}",
            context=_context(NonRecordingSpan(parent)) if parent else Context(),
            kind=SpanKind.SERVER,
            start_time=start_ns,
            attributes={
                "http.request.method": "POST",
                "http.route": call.route,
                "url.path": call.route,
                "gw.request_id": genai.short(call.id),
            },
        )
        self._root = _context(self._server)
        self._inference: Span | None = None
        self._attempt: AttemptTrace | None = None

    @property
    def context(self) -> SpanContext:
        """Of the server span."""
        return self._server.get_span_context()

    def verdict(self, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, just now, after `seconds`."""
        now = time.time_ns()
        self._tracer.start_span(
            f"policy {policy}",
            context=self._root,
            start_time=now - int(seconds * 1e9),
            attributes={"gw.policy.decision": str(decision)},
        ).end(now)

    def attempt(self, replica: Replica, number: int) -> AttemptTrace:
        """An attempt begins; with the first one, the inference."""
        if self._inference is None:
            self._inference = self._tracer.start_span(
                genai.span_name(self._call),
                context=self._root,
                kind=SpanKind.CLIENT,
                attributes=genai.request_attributes(self._call),
            )
        if self._attempt is not None:
            self._attempt.close(None)
        self._attempt = AttemptTrace(self._tracer, self._inference, replica, number)
        return self._attempt

    def finish(self, outcome: Outcome) -> None:
        """End every span that is open. Once."""
        error = genai.error_type(outcome)
        if self._attempt is not None:
            self._attempt.close(error)
        if self._inference is not None:
            self._end_inference(self._inference, outcome, error)
        self._end_server(outcome)

    def _end_inference(self, span: Span, outcome: Outcome, error: str | None) -> None:
        if span.is_recording():
            span.set_attributes(genai.outcome_attributes(self._call, outcome))
            if self._attempt is not None:
                span.set_attributes(self._attempt.address)
            _fail(span, error)
        span.end()

    def _end_server(self, outcome: Outcome) -> None:
        span = self._server
        if span.is_recording():
            caller = self._call.caller
            span.set_attributes(
                {
                    "http.response.status_code": outcome.status,
                    "gw.outcome": outcome.kind.value,
                    "gw.team": genai.short(caller.team),
                    "gw.key_id": genai.short(caller.key_id),
                    "gw.attempts": len(outcome.attempts),
                    "gw.queue_seconds": outcome.queue_seconds,
                }
            )
            # By HTTP's conventions a 4xx, or a client that left, is no error of the server.
            if outcome.kind is OutcomeKind.TRUNCATED:
                _fail(span, outcome.kind.value)
            elif outcome.status >= 500 and outcome.kind is not OutcomeKind.CANCELLED:
                _fail(span, str(outcome.status))
        span.end()


class AttemptTrace:
    """The span of one attempt. A fault ends it at once; an answer, when it has been read."""

    __slots__ = ("_span", "address")

    def __init__(self, tracer: Tracer, inference: Span, replica: Replica, number: int) -> None:
        self.address = _address(replica)
        attributes: genai.Attributes = {"http.request.method": "POST", **self.address}
        attributes["gw.replica"] = genai.short(replica.id)
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        self._span: Span | None = tracer.start_span(
            "POST", context=_context(inference), kind=SpanKind.CLIENT, attributes=attributes
        )

    @property
    def traceparent(self) -> str | None:
        """The header for the replica; None once the span has ended."""
        return traceparent(self._span.get_span_context()) if self._span else None

    def end(self, attempt: Attempt) -> None:
        """The attempt's result is known."""
        if attempt.result != "ok":
            self.close(attempt.result)

    def close(self, error: str | None) -> None:
        """End the span, unless it has ended."""
        span, self._span = self._span, None
        if span is not None:
            _fail(span, error)
            span.end()


def _address(replica: Replica) -> genai.Attributes:
    if replica.provider:  # LiteLLM knows the address
        return {"gen_ai.provider.name": genai.short(replica.provider)}
    parts = urlsplit(replica.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def _context(span: Span) -> Context:
    return set_span_in_context(span, Context())


def _fail(span: Span, error: str | None) -> None:
    if error is not None:
        span.set_attribute("error.type", str(error))  # a Fault is one of its own kind of string
        span.set_status(StatusCode.ERROR)
