"""Meters count, render both formats, and have a bound for each metric."""

from __future__ import annotations

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters import meters as module
from gateway.adapters.meters import Meters
from gateway.domain.metrics import Kind, Metric
from gateway.domain.process_metrics import SERIES, SERIES_DROPPED

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"

HITS = Metric("gw_hits_total", Kind.COUNTER, "hits", "Hits.", ("place",))
LEVEL = Metric("gw_level", Kind.GAUGE, "hits", "Level.", ("place",))
WAIT = Metric("gw_wait_seconds", Kind.HISTOGRAM, "seconds", "Wait.", ("place",), (0.1, 1))
PLAIN = Metric("gw_plain_total", Kind.COUNTER, "hits", "No labels.")
DECLARED = (HITS, LEVEL, WAIT, PLAIN)


def open_families(page: bytes) -> list[Family]:
    """OpenMetrics is read strictly: a page that breaks its rules raises."""
    return list(openmetrics.text_string_to_metric_families(page.decode()))  # type: ignore[no-untyped-call]


def samples(page: bytes) -> dict[tuple[str, str], float]:
    """By name and the value of `le`, else of `place`."""
    return {
        (one.name, one.labels.get("le", one.labels.get("place", ""))): one.value
        for family in text_string_to_metric_families(page.decode())
        for one in family.samples
    }


def test_a_gauge_that_is_removed_is_not_shown_and_may_come_back() -> None:
    meters = Meters(DECLARED)
    meters.add(LEVEL, 1, "a")
    meters.add(LEVEL, 1, "b")
    meters.remove(LEVEL, "a")
    meters.remove(LEVEL, "never")
    assert {key: v for key, v in samples(meters.render()[0]).items() if key[0] == "gw_level"} == {
        ("gw_level", "b"): 1
    }
    meters.add(LEVEL, 1, "a")
    assert samples(meters.render()[0])["gw_level", "a"] == 1


def test_numbers_come_out_as_they_went_in() -> None:
    meters = Meters(DECLARED)
    meters.add(HITS, 1, "a")
    meters.add(HITS, 2, "a")
    meters.add(LEVEL, 1, "a")
    meters.add(LEVEL, -1, "a")
    meters.observe(WAIT, 0.5, "a")
    page, content_type = meters.render()
    assert content_type.startswith("text/plain; version=")
    assert samples(page) == {
        ("gw_hits_total", "a"): 3,
        ("gw_level", "a"): 0,
        ("gw_wait_seconds_bucket", "0.1"): 0,
        ("gw_wait_seconds_bucket", "1.0"): 1,
        ("gw_wait_seconds_bucket", "+Inf"): 1,
        ("gw_wait_seconds_count", "a"): 1,
        ("gw_wait_seconds_sum", "a"): 0.5,
        ("gw_plain_total", ""): 0,
    }


def test_open_metrics_is_given_to_those_who_ask_for_it() -> None:
    meters = Meters(DECLARED)
    meters.add(HITS, 1, "a")
    page, content_type = meters.render(OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")
    families = {family.name: family for family in open_families(page)}
    assert families["gw_hits"].samples[0].value == 1


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", OPEN_METRICS, "nonsense;;;=,"])
def test_no_page_tells_when_a_series_was_created(accept: str) -> None:
    meters = Meters(DECLARED)
    meters.add(HITS, 1, "a")
    page, _ = meters.render(accept)
    assert b"gw_hits_total" in page
    assert b"_created" not in page


def test_two_meters_do_not_mix() -> None:
    one, other = Meters(DECLARED), Meters(DECLARED)
    one.add(HITS, 1, "a")
    assert b'gw_hits_total{place="a"}' not in other.render()[0]


def test_a_value_that_needs_escaping_survives() -> None:
    meters = Meters(DECLARED)
    meters.add(HITS, 1, 'a"b\\c\nd')
    assert samples(meters.render()[0])["gw_hits_total", 'a"b\\c\nd'] == 1


def test_exemplars_are_in_open_metrics_alone() -> None:
    meters = Meters(DECLARED)
    meters.observe(WAIT, 0.5, "a", trace_id="0af7")
    page, _ = meters.render(OPEN_METRICS)
    [family] = [one for one in open_families(page) if one.name == "gw_wait_seconds"]
    [told] = [one.exemplar for one in family.samples if one.exemplar]
    assert (told.labels, told.value) == ({"trace_id": "0af7"}, 0.5)
    assert b"trace_id" not in meters.render()[0]


def test_many_values_at_once_are_as_good_as_one_after_the_other() -> None:
    one, other = Meters(DECLARED), Meters(DECLARED)
    for value in (0.0625, 0.5, 0.5, 7.0):
        one.observe(WAIT, value, "a")
    other.observe_many(WAIT, [1, 2, 1], 8.0625, "a")
    assert one.render() == other.render()
    with pytest.raises(ValueError, match=r"shorter|longer"):
        other.observe_many(WAIT, [1, 2], 1.0, "a")


def test_a_metric_that_has_all_its_sets_of_labels_tells_the_rest_as_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_COUNTS", 3)
    meters = Meters((*DECLARED, SERIES, SERIES_DROPPED))
    for number in range(10):
        meters.add(HITS, 1, f"p{number}")
    page = meters.render()[0].decode()
    assert page.count("gw_hits_total{") == 4
    assert 'gw_hits_total{place="other"} 7.0' in page
    assert 'gw_metric_series_dropped_total{metric="gw_hits_total"} 7.0' in page
    assert 'gw_metric_series{metric="gw_hits_total"} 3.0' in page


def test_pages_of_two_processes_are_one_with_each_family_once() -> None:
    one, other = Meters(DECLARED), Meters(DECLARED)
    one.add(HITS, 1, "a")
    other.add(HITS, 2, "a")
    for accept in ("", OPEN_METRICS):
        blocks = one.blocks(accept, "0") + other.blocks(accept, "1")
        text = module.page(blocks, accept)[0].decode()
        assert text.count("# TYPE gw_hits") == 1
        assert 'gw_hits_total{place="a",worker="0"} 1.0' in text
        assert 'gw_hits_total{place="a",worker="1"} 2.0' in text
    assert open_families(text.encode())
