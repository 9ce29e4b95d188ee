"""Counts and measures the declared metrics with prometheus_client, and renders them.

One worker: an own registry. Several: prometheus_client's multiprocess mode, for which
PROMETHEUS_MULTIPROC_DIR must be in the environment before the worker processes start:
prometheus_client looks at it once, when it is first imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from gateway.domain.metrics import METRICS, Kind, Metric

ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"


class Meters:
    """The metrics of one process; those of all workers when rendered. Keep one for each process:
    in multiprocess mode a second one would write over the first one's numbers."""

    def __init__(self, declared: Sequence[Metric] = METRICS) -> None:
        """RuntimeError when multiprocess mode is asked for too late."""
        folder = os.environ.get(ENVIRONMENT)
        self._folder = Path(folder) if folder else None
        if self._folder is not None:
            if values.ValueClass is values.MutexValue:
                raise RuntimeError(
                    f"{ENVIRONMENT} was set after prometheus_client was imported: "
                    "set it before the worker processes start"
                )
            self._folder.mkdir(parents=True, exist_ok=True)
        self._registry = CollectorRegistry(auto_describe=False)
        # In multiprocess mode the numbers are read from the folder, not from this registry.
        home = None if self._folder else self._registry
        self._families = {metric.name: _family(metric, home) for metric in declared}
        self._counts: dict[tuple[str, ...], Counter | Gauge] = {}
        self._spreads: dict[tuple[str, ...], Histogram] = {}

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """To a counter (`amount` >= 0) or a gauge."""
        key = (metric.name, *labels)
        child = self._counts.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Counter | Gauge)
            child = self._counts[key] = family.labels(*labels) if labels else family
        child.inc(amount)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """What a gauge that is `newest` stands at now."""
        family = self._families[metric.name]
        assert isinstance(family, Gauge)
        (family.labels(*labels) if labels else family).set(value)

    def remove(self, metric: Metric, *labels: str) -> None:
        """A gauge that says nothing any more. With several workers it stays, at 0: files of
        prometheus_client do not shrink."""
        child = self._counts.pop((metric.name, *labels), None)
        if isinstance(child, Gauge):
            child.set(0)
            if self._folder is None:
                self._families[metric.name].remove(*labels)

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        """One more value of a histogram."""
        key = (metric.name, *labels)
        child = self._spreads.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Histogram)
            child = self._spreads[key] = family.labels(*labels)
        child.observe(value)

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that the Accept header asks for, and its content type.
        Milliseconds of work for a few hundred series."""
        source: Collector = self._registry
        if self._folder is not None:
            _forget_the_dead(self._folder)
            source = MultiProcessCollector(None, str(self._folder))  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        return encode(_Exported(source)), content_type


class _Exported(Collector):
    """Leaves out the `_created` series: they double the page and nobody charts them."""

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterable[Family]:
        for family in self._source.collect():
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family


def _family(metric: Metric, home: CollectorRegistry | None) -> Counter | Gauge | Histogram:
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, metric.help, metric.labels, registry=home)
    if metric.kind is Kind.GAUGE:
        mode: Literal["livemostrecent", "livesum"]
        mode = "livemostrecent" if metric.newest else "livesum"
        return Gauge(metric.name, metric.help, metric.labels, registry=home, multiprocess_mode=mode)
    return Histogram(metric.name, metric.help, metric.labels, registry=home, buckets=metric.buckets)


def _forget_the_dead(folder: Path) -> None:
    # A worker that was killed cannot count its requests down any more.
    for path in folder.glob("gauge_live*.db"):
        match = re.search(r"_(\d+)\.db$", path.name)
        if match and not _alive(int(match[1])):
            mark_process_dead(int(match[1]), str(folder))  # type: ignore[no-untyped-call]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
