"""The table of metrics keeps its own rules."""

from __future__ import annotations

import re

import pytest

from gateway.domain.metrics import LABELS, METRICS, Kind, Metric

every_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


@every_metric
def test_a_name_says_whose_it_is_and_what_it_counts(metric: Metric) -> None:
    assert re.fullmatch(r"(gw|gen_ai)_[a-z0-9_]+[a-z]", metric.name)
    assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
    assert (metric.unit == "seconds") == metric.name.endswith("_seconds")
    assert metric.help.endswith(".")


@every_metric
def test_only_histograms_have_buckets_and_they_rise(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))


def test_a_duration_can_be_told_past_two_minutes() -> None:
    duration = next(m for m in METRICS if m.name == "gw_request_duration_seconds")
    assert 120 in duration.buckets
    assert max(duration.buckets) > 120


def test_every_label_is_explained_and_every_explanation_is_of_a_label() -> None:
    assert {label for metric in METRICS for label in metric.labels} == set(LABELS)
