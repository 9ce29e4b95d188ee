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

from gateway.domain.metrics import METRICS, OTHER, Kind, Metric
from gateway.domain.process_metrics import SCRAPE_BYTES, SERIES, SERIES_DROPPED

ENVIRONMENT = "PROMETHEUS_MULTIPROC_DIR"
# Sets of labels that a metric may have in a process; a histogram has a series for each bucket.
MOST_COUNTS = 2000
MOST_SPREADS = 300


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
        self._metrics = {metric.name: metric for metric in declared}
        self._sizes = dict.fromkeys(self._metrics, 0)
        self._counts: dict[tuple[str, ...], Counter | Gauge] = {}
        self._spreads: dict[tuple[str, ...], Spread] = {}

    def exports(self, metric: Metric) -> bool:
        """Whether it is among those that were declared."""
        return metric.name in self._metrics

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """To a counter (`amount` >= 0) or a gauge."""
        key = (metric.name, *labels)
        child = self._counts.get(key)
        if child is None:
            key = self._admitted(key)
            child = self._counts.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Counter | Gauge)
            child = self._counts[key] = family.labels(*key[1:]) if labels else family
        child.inc(amount)

    def _admitted(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """The key of a new set of labels; where a metric has as many as it may have, that of the
        one set in which all others are."""
        name, labels = key[0], key[1:]
        metric = self._metrics[name]
        most = MOST_SPREADS if metric.kind is Kind.HISTOGRAM else MOST_COUNTS
        if self._sizes[name] < most or not labels:
            self._sizes[name] += 1
            self._tell(SERIES, name, 1)
            return key
        self._tell(SERIES_DROPPED, name, 1)
        return (name, *(OTHER for _ in labels))

    def _tell(self, metric: Metric, name: str, amount: float) -> None:
        # Straight into the family: what is told of itself has a row for each metric, no more.
        family = self._families.get(metric.name)
        if isinstance(family, Counter | Gauge):
            family.labels(name).inc(amount)

    def put(self, metric: Metric, value: float, *labels: str) -> None:
        """What a gauge that is `newest` stands at now."""
        key = (metric.name, *labels)
        if key not in self._counts:
            self.add(metric, 0, *labels)
        child = self._counts.get(key)
        if isinstance(child, Gauge):  # else it is one too many, and a sum would mean nothing
            child.set(value)

    def remove(self, metric: Metric, *labels: str) -> None:
        """A gauge that says nothing any more. With several workers it stays, at 0: files of
        prometheus_client do not shrink."""
        child = self._counts.pop((metric.name, *labels), None)
        if isinstance(child, Gauge):
            child.set(0)
            self._sizes[metric.name] -= 1
            self._tell(SERIES, metric.name, -1)
            if self._folder is None:
                self._families[metric.name].remove(*labels)

    def observe(
        self, metric: Metric, value: float, *labels: str, trace_id: str | None = None
    ) -> None:
        """One more value of a histogram; `trace_id` is its exemplar."""
        child = self._spreads.get((metric.name, *labels)) or self._spread(metric, labels)
        child.observe(value, {"trace_id": trace_id} if trace_id else None)

    def observe_many(
        self, metric: Metric, counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """So many values in each of a histogram's buckets, the last one without a bound, which
        together are `total`."""
        child = self._spreads.get((metric.name, *labels)) or self._spread(metric, labels)
        child.observe_many(counts, total)

    def _spread(self, metric: Metric, labels: tuple[str, ...]) -> Spread:
        key = self._admitted((metric.name, *labels))
        child = self._spreads.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Spread)
            child = self._spreads[key] = family.labels(*key[1:]) if labels else family
        return child

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that the Accept header asks for, and its content type.
        Milliseconds of work for a few hundred series."""
        source: Collector = self._registry
        if self._folder is not None:
            _forget_the_dead(self._folder)
            source = MultiProcessCollector(None, str(self._folder))  # type: ignore[no-untyped-call]
        encode, content_type = choose_encoder(accept)
        page = encode(_Exported(source))
        scrape = self._families.get(SCRAPE_BYTES.name)
        if isinstance(scrape, Gauge):
            scrape.set(len(page))
        return page, content_type


class Spread(Histogram):
    """A histogram that many values can be put into at once."""

    def observe_many(self, counts: Sequence[int], total: float) -> None:
        """See Meters.observe_many. ValueError where there are not as many counts as buckets."""
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._sum.inc(total)


class _Exported(Collector):
    """Leaves out the `_created` series: they double the page and nobody charts them."""

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterable[Family]:
        for family in self._source.collect():
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
            yield family


def _family(metric: Metric, home: CollectorRegistry | None) -> Counter | Gauge | Spread:
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, metric.help, metric.labels, registry=home)
    if metric.kind is Kind.GAUGE:
        mode: Literal["livemostrecent", "livesum"]
        mode = "livemostrecent" if metric.newest else "livesum"
        return Gauge(metric.name, metric.help, metric.labels, registry=home, multiprocess_mode=mode)
    return Spread(metric.name, metric.help, metric.labels, registry=home, buckets=metric.buckets)


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
