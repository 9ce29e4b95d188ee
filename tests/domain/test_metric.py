"""A metric is declared with what is needed to export it."""

from __future__ import annotations

from gateway.domain.metric import Convention, Kind, Metric


def test_what_nobody_says_is_left_out() -> None:
    metric = Metric("gw_x_total", Kind.COUNTER, "calls", "Calls.")
    assert (metric.labels, metric.buckets, metric.convention) == ((), (), Convention.BOTH)
    assert metric.kind == "counter"


def test_a_convention_covers_itself_and_what_is_of_both() -> None:
    latest, old, both = Convention.LATEST, Convention.V1_41, Convention.BOTH
    assert [latest.covers(one) for one in (latest, old, both)] == [True, False, True]
    assert [both.covers(one) for one in (latest, old, both)] == [True, True, True]
