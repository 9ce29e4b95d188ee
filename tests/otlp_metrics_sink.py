"""A real OTLP/HTTP collector that keeps the metrics that it is sent, and the spans."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

from gateway.testing.otlp_sink import OtlpSink


@dataclass(frozen=True, slots=True)
class SunkPoint:
    """One series as it came over the wire. `value` is a histogram's sum; `buckets` are its counts,
    each of its own."""

    name: str
    kind: str
    unit: str
    labels: dict[str, str]
    value: float
    monotonic: bool = False
    cumulative: bool = False
    count: int = 0
    buckets: tuple[int, ...] = ()
    bounds: tuple[float, ...] = ()
    start_ns: int = 0
    extremes: bool = False


class MetricsSink(OtlpSink):
    """Use as an OtlpSink; `pushes` are lists of points, `resources` those of each push."""

    def __init__(self) -> None:
        super().__init__()
        self.pushes: list[list[SunkPoint]] = []
        self.resources: list[dict[str, str]] = []
        self._pushed = threading.Condition()

    def wait_for_push(self, count: int = 1, timeout: float = 10.0) -> list[SunkPoint]:
        """The newest, once there are `count` of them. TimeoutError when they do not come."""
        with self._pushed:
            if not self._pushed.wait_for(lambda: len(self.pushes) >= count, timeout):
                raise TimeoutError(f"{len(self.pushes)} of {count} pushes after {timeout} s")
            return self.pushes[-1]

    def take(self, path: str, body: bytes) -> None:
        """One request of an exporter."""
        if not path.endswith("/v1/metrics"):
            super().take(path, body)
            return
        [told] = ExportMetricsServiceRequest.FromString(body).resource_metrics
        points = [
            point
            for scope in told.scope_metrics
            for metric in scope.metrics
            for point in _points(metric)
        ]
        with self._pushed:
            self.paths.add(path)
            self.pushes.append(points)
            self.resources.append(_labels(told.resource.attributes))
            self._pushed.notify_all()


def _points(metric: Metric) -> list[SunkPoint]:
    kind = metric.WhichOneof("data")
    assert kind is not None
    told: Any = getattr(metric, kind)
    return [_point(metric, kind, told, one) for one in told.data_points]


def _point(
    metric: Metric, kind: str, told: Any, one: NumberDataPoint | HistogramDataPoint
) -> SunkPoint:
    labels = _labels(one.attributes)
    cumulative = getattr(told, "aggregation_temporality", 0) == 2
    if isinstance(one, HistogramDataPoint):
        return SunkPoint(
            *(metric.name, kind, metric.unit, labels, one.sum),
            cumulative=cumulative,
            count=one.count,
            buckets=tuple(one.bucket_counts),
            bounds=tuple(one.explicit_bounds),
            start_ns=one.start_time_unix_nano,
            extremes=one.HasField("min") or one.HasField("max"),
        )
    return SunkPoint(
        *(metric.name, kind, metric.unit, labels, one.as_double),
        monotonic=getattr(told, "is_monotonic", False),
        cumulative=cumulative,
        start_ns=one.start_time_unix_nano,
    )


def _labels(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}
