"""Where spans go: by OTLP in batches, or onto stderr. No global provider is set."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from gateway import __version__
from gateway.adapters.resource import resource
from gateway.adapters.sampling import Sampling
from gateway.adapters.spans import CallTrace, ClosedTrace, Origin, Span, new_span_id, new_trace_id
from gateway.domain import genai
from gateway.domain.call import Call, Outcome
from gateway.domain.metric import Convention

SHUTDOWN_SECONDS = 3.0

_EXPORT_SECONDS = 2.0
# In calls, each of which is some five spans.
_QUEUE = 2048
_BATCH = 128
_BATCH_DELAY_MS = 1000.0
_KEPT = TraceFlags(TraceFlags.SAMPLED)


class TraceSettings(Protocol):
    """What of the settings concerns traces."""

    @property
    def otlp_endpoint(self) -> str | None: ...
    @property
    def service_name(self) -> str: ...
    @property
    def console(self) -> bool: ...
    @property
    def sample_ratio(self) -> float: ...
    @property
    def slow_s(self) -> float: ...
    @property
    def genai_semconv(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Trace:
    """All spans of one call, on their way through the SDK's processors in place of one span.
    `offset` makes nanoseconds since 1970 of monotonic ones."""

    closed: ClosedTrace
    offset: int

    # What processors look at.
    context: ClassVar[SpanContext] = SpanContext(1, 1, is_remote=False, trace_flags=_KEPT)


class Traces:
    """Decides which traces are kept, and sends those off, from threads of the SDK's. `clock` gives
    monotonic seconds; `lost` hears of spans that no collector has taken."""

    def __init__(
        self,
        settings: TraceSettings,
        clock: Callable[[], float],
        lost: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._clock = clock
        self._lost = lost
        self._sampling = Sampling(settings.sample_ratio, settings.slow_s)
        self._convention = Convention(settings.genai_semconv)
        self._sending: _Sending | None = None
        self._processors = self._make(settings)

    def _make(self, settings: TraceSettings) -> tuple[SpanProcessor, ...]:
        made: list[SpanProcessor] = []
        built = _Building(settings.service_name, self._convention)
        if settings.otlp_endpoint:
            url = _traces_url(settings.otlp_endpoint)
            exporter = OTLPSpanExporter(url, timeout=_EXPORT_SECONDS)
            self._sending = _Sending(exporter, built, self._lost)
            made.append(
                BatchSpanProcessor(
                    self._sending,
                    max_queue_size=_QUEUE,
                    max_export_batch_size=_BATCH,
                    schedule_delay_millis=_BATCH_DELAY_MS,
                )
            )
        if settings.console:
            printer = ConsoleSpanExporter(
                out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n"
            )
            made.append(SimpleSpanProcessor(_Sending(printer, built, self._lost)))
        return tuple(made)

    @property
    def pending(self) -> int:
        """Calls whose spans wait to be sent."""
        return self._sending.pending if self._sending is not None else 0

    @property
    def capacity(self) -> int:
        """So many may wait; 0 where nothing is sent."""
        return _QUEUE if self._sending is not None else 0

    def begin(self, call: Call, parent: Origin | None) -> CallTrace | None:
        """A call comes in. None: nothing is traced."""
        if not self._processors:
            return None
        trace_id = parent.trace_id if parent is not None else new_trace_id()
        sampled = self._sampling.head(trace_id, parent)
        state = parent.state if parent is not None else ""
        return CallTrace(call, parent, Origin(trace_id, new_span_id(), sampled, state), self._clock)

    def finish(self, trace: CallTrace, outcome: Outcome) -> bool:
        """Its call is settled: send it off, where it is to be kept. Whether it is."""
        if not self._sampling.keeps(trace.origin.sampled, outcome):
            return False
        closed = trace.close(outcome, self._convention)
        if self._sending is not None and not self._sending.room():
            self._lost(len(closed))
            return False
        offset = time.time_ns() - round(self._clock() * 1e9)
        told = _Trace(closed, offset)
        for processor in self._processors:
            processor.on_end(cast(ReadableSpan, told))
        return True

    async def aclose(self) -> None:
        """Send what is left, for at most 3 s, then give it up: a collector that is down must not
        hold us up."""
        processors, self._processors = self._processors, ()
        if not processors:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def shut_down() -> None:
            for processor in processors:
                processor.shutdown()
            # Past the deadline the loop may be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        # A daemon, not the loop's executor: that one is joined when the loop ends.
        threading.Thread(target=shut_down, name="telemetry-shutdown", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), SHUTDOWN_SECONDS)
        except TimeoutError:
            if self._sending is not None:
                self._sending.shutdown()


class _Building:
    """Makes the SDK's spans of ours."""

    def __init__(self, service_name: str, convention: Convention) -> None:
        self._resource = resource(service_name)
        self._scope = InstrumentationScope("gateway", __version__, genai.schema_url(convention))

    def spans(self, trace: _Trace) -> list[ReadableSpan]:
        """Of one call, in their order."""
        head, spans = trace.closed.origin, trace.closed.spans()
        state = TraceState.from_header([head.state]) if head.state else None
        made = {one.id: SpanContext(head.trace_id, one.id, False, _KEPT, state) for one in spans}
        if (above := trace.closed.parent) is not None:
            flags = TraceFlags(int(above.sampled))
            made[above.span_id] = SpanContext(above.trace_id, above.span_id, True, flags, state)
        return [
            ReadableSpan(
                name=span.name,
                context=made[span.id],
                parent=made.get(span.parent),
                resource=self._resource,
                attributes=span.attributes if span.error is None else _failed(span),
                kind=span.kind,
                status=Status(StatusCode.UNSET if span.error is None else StatusCode.ERROR),
                start_time=trace.offset + round(span.began * 1e9),
                end_time=trace.offset + round(span.ended * 1e9),
                instrumentation_scope=self._scope,
            )
            for span in spans
        ]


def _failed(span: Span) -> genai.Attributes:
    return {**span.attributes, "error.type": span.error or ""}


class _Sending(SpanExporter):
    """Gives an exporter the spans of the calls that it is given, and says how many it did not
    take. `pending` calls wait."""

    def __init__(
        self, exporter: SpanExporter, building: _Building, lost: Callable[[int], None]
    ) -> None:
        self._exporter = exporter
        self._building = building
        self._lost = lost
        # Each is written by one thread alone.
        self._given = 0
        self._taken = 0

    @property
    def pending(self) -> int:
        return self._given - self._taken

    def room(self) -> bool:
        """Whether one more may wait; it is counted."""
        if self.pending >= _QUEUE:
            return False
        self._given += 1
        return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In the processor's thread."""
        traces = cast("Sequence[_Trace]", spans)
        self._taken += len(traces)
        made = [span for one in traces for span in self._building.spans(one)]
        result = self._exporter.export(made)
        if result is not SpanExportResult.SUCCESS:
            self._lost(len(made))
        return result

    def shutdown(self) -> None:
        """No more is tried."""
        self._exporter.shutdown()


def _traces_url(endpoint: str) -> str:
    """A collector's base URL gets the path that OTLP prescribes; a URL with a path is kept."""
    if urlsplit(endpoint).path.strip("/"):
        return endpoint
    return endpoint.rstrip("/") + "/v1/traces"
