"""Pushes what /metrics holds to an OTLP collector, where that is set: MetricsPush.

The families of our registry are told as they stand, cumulatively: recording with OpenTelemetry's
own instruments would cost each request some ten microseconds a value.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, cast
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    DataT,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from gateway import __version__
from gateway.adapters.resource import resource
from gateway.domain.metrics import METRICS

SHUTDOWN_SECONDS = 3.0

_EXPORT_SECONDS = 2.0
_PATH, _TRACES_PATH = "/v1/metrics", "/v1/traces"
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
_UNIT_OF = {one.name: _UNITS.get(one.unit, f"{{{one.unit}}}") for one in METRICS}

_log = logging.getLogger("gateway.telemetry")


class PushSettings(Protocol):
    """What of the settings concerns pushes of metrics."""

    @property
    def otlp_endpoint(self) -> str | None: ...
    @property
    def otlp_metrics(self) -> bool: ...
    @property
    def otlp_metrics_interval_s(self) -> float: ...
    @property
    def service_name(self) -> str: ...


class MetricsPush:
    """One for each process. Nothing happens where the settings ask for no push; `lost` hears of
    each push that no collector has taken."""

    def __init__(
        self, settings: PushSettings, registry: CollectorRegistry, lost: Callable[[int], None]
    ) -> None:
        self._registry = registry
        self._lost = lost
        self._interval = settings.otlp_metrics_interval_s
        self._service = settings.service_name
        self._began = time.time_ns()
        self._one_at_a_time = threading.Lock()
        self._exporter: MetricExporter | None = None
        if settings.otlp_metrics and settings.otlp_endpoint:
            url = metrics_url(settings.otlp_endpoint)
            self._exporter = OTLPMetricExporter(url, timeout=_EXPORT_SECONDS)

    @contextmanager
    def pushing(self, look: Callable[[], Awaitable[object]]) -> Iterator[None]:
        """Inside it, metrics are pushed at each interval; `look` brings them up to date before."""
        if self._exporter is None:
            yield
            return
        task = asyncio.ensure_future(self._push_on(self._exporter, look))
        try:
            yield
        finally:
            task.cancel()

    async def aclose(self) -> None:
        """Push what has happened since the last time, for at most 3 s, then give it up."""
        exporter, self._exporter = self._exporter, None
        if exporter is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(SHUTDOWN_SECONDS):
                await self._push(exporter)
        exporter.shutdown()

    async def _push_on(
        self, exporter: MetricExporter, look: Callable[[], Awaitable[object]]
    ) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await look()
            except Exception:
                # A marked edge: whatever could not be looked at, the rest is worth its push.
                _log.exception("some metrics are pushed as they were before")
            await self._push(exporter)

    async def _push(self, exporter: MetricExporter) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def work() -> None:
            try:
                with self._one_at_a_time:
                    result = exporter.export(self._all())
                if result is not MetricExportResult.SUCCESS:
                    self._lost(1)
            finally:
                # Past a deadline the loop may be closed.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(done.set)

        # A daemon, not the loop's executor: that one is joined when the loop ends.
        threading.Thread(target=work, name="telemetry-push", daemon=True).start()
        await done.wait()

    def _all(self) -> MetricsData:
        scope = InstrumentationScope("gateway", __version__)
        told = metrics_of(self._registry.collect(), self._began, time.time_ns())
        of_scope = ScopeMetrics(scope, told, "")
        return MetricsData([ResourceMetrics(resource(self._service), [of_scope], "")])


def metrics_url(endpoint: str) -> str:
    """Where metrics go, for what is set as the collector's URL: a base, or the URL of traces."""
    base = endpoint.rstrip("/")
    if urlsplit(base).path.endswith(_PATH):
        return base
    return base.removesuffix(_TRACES_PATH) + _PATH


def metrics_of(families: Iterable[Family], began: int, now: int) -> list[Metric]:
    """The families of a registry as OpenTelemetry has them, under the names of our pages.
    `began` and `now` are nanoseconds since 1970."""
    found = []
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        told = _told(family, began, now)
        if told is not None:
            found.append(Metric(name, family.documentation, _UNIT_OF.get(name, ""), told))
    return found


def _told(family: Family, began: int, now: int) -> DataT | None:
    """None: there is nothing to tell yet."""
    if family.type == "histogram":
        spreads = list(_spreads(family.samples, began, now))
        return Histogram(spreads, _CUMULATIVE) if spreads else None
    numbers = [
        NumberDataPoint(one.labels, began, now, one.value)
        for one in family.samples
        if not one.name.endswith("_created")
    ]
    if not numbers:
        return None
    if family.type == "counter":
        return Sum(numbers, _CUMULATIVE, is_monotonic=True)
    return Gauge(numbers)


def _spreads(samples: Iterable[Sample], began: int, now: int) -> Iterator[HistogramDataPoint]:
    """A histogram's series: its buckets in their order, which add up, then its count and sum."""
    bounds: list[float] = []
    counts: list[int] = []
    for one in samples:
        if one.name.endswith("_bucket"):
            bounds.append(float(one.labels["le"]))
            counts.append(int(one.value))
        elif one.name.endswith("_sum"):
            each = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
            unknown = cast(float, None)  # the encoder leaves it out
            yield HistogramDataPoint(
                *(one.labels, began, now, counts[-1], one.value),
                bucket_counts=each,
                explicit_bounds=bounds[:-1],  # the last one is infinite
                min=unknown,
                max=unknown,
            )
            bounds, counts = [], []
