"""Counts and measures the declared metrics of one process with prometheus_client.

Several processes are several of these: adapters/scrape.py puts their pages together.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from gateway.domain.metrics import METRICS, OTHER, Kind, Metric
from gateway.domain.process_metrics import SERIES, SERIES_DROPPED

# A family's lines before its samples, and its samples.
Block = tuple[str, str]
# Sets of labels that a metric may have in a process; a histogram has a series for each bucket.
MOST_COUNTS = 2000
MOST_SPREADS = 300
_END = "# EOF\n"


class Meters:
    """The metrics of one process. Safe in any thread."""

    def __init__(self, declared: Sequence[Metric] = METRICS) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self._families = {metric.name: _family(metric, self.registry) for metric in declared}
        self._metrics = {metric.name: metric for metric in declared}
        self._sizes = dict.fromkeys(self._metrics, 0)
        self._counts: dict[tuple[str, ...], Counter | Gauge] = {}
        self._spreads: dict[tuple[str, ...], Spread] = {}

    def exports(self, metric: Metric) -> bool:
        """Whether it is among those that were declared."""
        return metric.name in self._metrics

    def add(self, metric: Metric, amount: float, *labels: str) -> None:
        """To a counter (`amount` >= 0) or a gauge."""
        child = self._counts.get((metric.name, *labels)) or self._count(metric, labels)
        child.inc(amount)

    def _count(self, metric: Metric, labels: tuple[str, ...]) -> Counter | Gauge:
        key = (metric.name, *labels)
        child = self._counts.get(key)
        if child is None:
            key = self._admitted(key)
            child = self._counts.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Counter | Gauge)
            child = self._counts[key] = family.labels(*key[1:]) if labels else family
        return child

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
        child = self._count(metric, labels)
        assert isinstance(child, Gauge)
        child.set(value)

    def remove(self, metric: Metric, *labels: str) -> None:
        """A gauge that says nothing any more."""
        child = self._counts.pop((metric.name, *labels), None)
        if isinstance(child, Gauge):
            self._sizes[metric.name] -= 1
            self._tell(SERIES, metric.name, -1)
            self._families[metric.name].remove(*labels)

    def observe(
        self, metric: Metric, value: float, *labels: str, trace_id: str | None = None
    ) -> None:
        """One more value of a histogram; `trace_id` is its exemplar."""
        child = self._spreads.get((metric.name, *labels)) or self._spread(metric, labels)
        child.take(value, trace_id)

    def observe_many(
        self, metric: Metric, counts: Sequence[int], total: float, *labels: str
    ) -> None:
        """So many values in each of a histogram's buckets, the last one without a bound, which
        together are `total`."""
        child = self._spreads.get((metric.name, *labels)) or self._spread(metric, labels)
        child.take_many(counts, total)

    def _spread(self, metric: Metric, labels: tuple[str, ...]) -> Spread:
        key = self._admitted((metric.name, *labels))
        child = self._spreads.get(key)
        if child is None:
            family = self._families[metric.name]
            assert isinstance(family, Spread)
            child = self._spreads[key] = family.labels(*key[1:]) if labels else family
        return child

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics of this process in the format that the Accept header asks for, and its
        content type. Milliseconds of work for a few hundred series."""
        return page(self.blocks(accept), accept)

    def blocks(self, accept: str = "", worker: str = "") -> list[Block]:
        """The families as text; with a `worker`, each sample names it."""
        return [block(family, accept, worker) for family in self.registry.collect()]


def page(blocks: Iterable[Block], accept: str) -> tuple[bytes, str]:
    """Blocks of one or several processes as one page, and its content type: families that have the
    same lines before their samples are one."""
    families: dict[str, list[str]] = {}
    for head, lines in blocks:
        families.setdefault(head, []).append(lines)
    texts = [head + "".join(lines) for head, lines in families.items()]
    _, content_type = choose_encoder(accept)
    end = _END if "openmetrics" in content_type else ""
    return "".join([*texts, end]).encode(), content_type


def block(family: Family, accept: str, worker: str = "") -> Block:
    """One family in that format, without the `_created` series: they double the page and nobody
    charts them."""
    kept = [one for one in family.samples if not one.name.endswith("_created")]
    if worker:
        kept = [one._replace(labels={**one.labels, "worker": worker}) for one in kept]
    family.samples = kept
    encode, _ = choose_encoder(accept)
    text = encode(_One(family)).decode().removesuffix(_END)
    lines = text.splitlines(keepends=True)
    count = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[:count]), "".join(lines[count:])


class Spread(Histogram):
    """A histogram that is quick, and that many values can be put into at once: one lock for all of
    it, where the library has one for each bucket and looks at the bounds one after the other."""

    def _metric_init(self) -> None:
        self._guard = Lock()
        self._created = time.time()
        self._counts = [0] * len(self._upper_bounds)
        self._total = 0.0
        self._exemplars: dict[int, Exemplar] = {}

    def take(self, value: float, trace_id: str | None) -> None:
        """One more value; `trace_id` is its exemplar."""
        at = bisect_left(self._upper_bounds, value)
        with self._guard:
            self._counts[at] += 1
            self._total += value
        if trace_id is not None:
            self._exemplars[at] = Exemplar({"trace_id": trace_id}, value, time.time())

    def take_many(self, counts: Sequence[int], total: float) -> None:
        """See Meters.observe_many. ValueError where there are not as many counts as buckets."""
        with self._guard:
            self._counts = [a + b for a, b in zip(self._counts, counts, strict=True)]
            self._total += total

    def _child_samples(self) -> Iterable[Sample]:
        with self._guard:
            counts, total = list(self._counts), self._total
        found, sum_of_all = [], 0
        for at, (bound, count) in enumerate(zip(self._upper_bounds, counts, strict=True)):
            sum_of_all += count
            labels = {"le": str(floatToGoString(bound))}  # type: ignore[no-untyped-call]
            exemplar = self._exemplars.get(at)
            found.append(Sample("_bucket", labels, float(sum_of_all), None, exemplar))
        found.append(Sample("_count", {}, float(sum_of_all), None, None))
        found.append(Sample("_sum", {}, total, None, None))
        return found


class _One(Collector):
    """A single family, for an encoder."""

    def __init__(self, family: Family) -> None:
        self._family = family

    def collect(self) -> Iterable[Family]:
        yield self._family


def _family(metric: Metric, home: CollectorRegistry) -> Counter | Gauge | Spread:
    if metric.kind is Kind.COUNTER:
        return Counter(metric.name, metric.help, metric.labels, registry=home)
    if metric.kind is Kind.GAUGE:
        return Gauge(metric.name, metric.help, metric.labels, registry=home)
    return Spread(metric.name, metric.help, metric.labels, registry=home, buckets=metric.buckets)
