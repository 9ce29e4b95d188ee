"""A metric is declared with what is needed to export it."""

from __future__ import annotations

from gateway.domain.metric import Kind, Metric


def test_what_nobody_says_is_left_out() -> None:
    metric = Metric("gw_x_total", Kind.COUNTER, "calls", "Calls.")
    assert (metric.labels, metric.buckets, metric.newest) == ((), (), False)
    assert metric.kind == "counter"
