"""Where spans go: by OTLP over HTTP in batches, or onto stderr. No global provider is set."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanContext, Tracer

from gateway import __version__
from gateway.adapters.spans import CallTrace
from gateway.domain import genai
from gateway.domain.call import Call

SHUTDOWN_SECONDS = 3.0

_EXPORT_SECONDS = 2.0
_QUEUE = 8192
_BATCH_DELAY_MS = 1000.0


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


class Traces:
    """Makes spans and sends them off in batches, from a thread of its own."""

    def __init__(
        self,
        settings: TraceSettings,
        clock: Callable[[], float],
        lost: Callable[[int], None] = lambda count: None,
    ) -> None:
        """`lost` hears of spans that no collector has taken."""
        self._clock = clock
        endpoint = settings.otlp_endpoint
        self._exporter = _Exporter(_traces_url(endpoint), lost) if endpoint else None
        self._provider = _provider(settings, self._exporter)
        self._tracer: Tracer | None = None
        if self._provider is not None:
            self._tracer = self._provider.get_tracer("gateway", __version__, genai.SCHEMA_URL)

    def begin(self, call: Call, parent: SpanContext | None) -> CallTrace | None:
        """Open the server span, from the moment that the call came in. None: nothing is traced."""
        if self._tracer is None:
            return None
        waited = max(0.0, self._clock() - call.received)
        return CallTrace(self._tracer, call, parent, time.time_ns() - int(waited * 1e9))

    async def aclose(self) -> None:
        """Send what is left, for at most 3 s, then give it up: a collector that is down must not
        hold us up."""
        if self._provider is None:
            return
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        provider, self._provider, self._tracer = self._provider, None, None

        def shut_down() -> None:
            provider.shutdown()
            # Past the deadline the loop may be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        # A daemon, not the loop's executor: that one is joined when the loop ends.
        threading.Thread(target=shut_down, name="telemetry-shutdown", daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), SHUTDOWN_SECONDS)
        except TimeoutError:
            if self._exporter is not None:
                self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Exporter(OTLPSpanExporter):
    """Says how many spans it could not send."""

    def __init__(self, url: str, lost: Callable[[int], None]) -> None:
        super().__init__(url, timeout=_EXPORT_SECONDS)
        self._lost = lost

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._lost(len(spans))
        return result


def _provider(settings: TraceSettings, exporter: OTLPSpanExporter | None) -> TracerProvider | None:
    """None when spans would go nowhere."""
    if exporter is None and not settings.console:
        return None
    ratio = settings.sample_ratio
    provider = TracerProvider(
        sampler=ParentBased(ALWAYS_ON if ratio >= 1 else TraceIdRatioBased(ratio)),
        resource=Resource.create(
            {
                "service.name": settings.service_name,
                "service.version": __version__,
                "service.instance.id": str(uuid4()),
            }
        ),
        # Its exit hook waits half a minute for a dead collector; `aclose` does not.
        shutdown_on_exit=False,
    )
    if exporter is not None:
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter, max_queue_size=_QUEUE, schedule_delay_millis=_BATCH_DELAY_MS
            )
        )
    if settings.console:
        printer = ConsoleSpanExporter(
            out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n"
        )
        provider.add_span_processor(SimpleSpanProcessor(printer))
    return provider


def _traces_url(endpoint: str) -> str:
    """A collector's base URL gets the path that OTLP prescribes; a URL with a path is kept."""
    if urlsplit(endpoint).path.strip("/"):
        return endpoint
    return endpoint.rstrip("/") + "/v1/traces"
