"""One metric as it is declared: Metric, and its Kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus' own words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `unit` is a plural noun; `buckets` are upper bounds, of histograms only. A gauge
    that is `newest` is what the worker that spoke last says; any other is the sum of them all."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    newest: bool = False
