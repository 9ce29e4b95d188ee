"""One metric as it is declared: Metric, its Kind, the Convention that names it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Prometheus' own words."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Convention(StrEnum):
    """Which of OpenTelemetry's GenAI conventions a name is of; the values of the setting
    telemetry.genai_semconv."""

    LATEST = "latest"
    V1_41 = "v1_41"
    BOTH = "both"

    def covers(self, other: Convention) -> bool:
        """Whether what is of `other` is told where this one is set."""
        return self is other or Convention.BOTH in (self, other)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. `unit` is a plural noun; `buckets` are upper bounds, of histograms only.
    `convention`: of OpenTelemetry's names, which of the two it is of."""

    name: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    convention: Convention = Convention.BOTH
