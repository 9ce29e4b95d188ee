"""Meters count, render both formats, and add up over worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.adapters.meters import ENVIRONMENT, Meters
from gateway.domain.metrics import Kind, Metric

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


WORKER = textwrap.dedent(
    """
    import sys
    from gateway.adapters.meters import Meters
    from gateway.domain.metrics import FIRST_TOKEN, INFLIGHT, REQUESTS

    meters = Meters()
    for line in sys.stdin:
        if line == "count\\n":
            meters.add(REQUESTS, 1, "/v1/x", "smol", "t", "completed")
            meters.add(INFLIGHT, 1, "smol")
            meters.observe(FIRST_TOKEN, 0.5, "chat", "openai", "smol")
            print("done", flush=True)
        else:
            page, kind = meters.render(line.strip())
            print(len(page), flush=True)
            sys.stdout.flush()
            sys.stdout.buffer.write(page)
            sys.stdout.buffer.flush()
    """
)


class Worker:
    """A process with meters of its own; it does what it is told."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def tell(self, line: str) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def page(self, accept: str = "") -> bytes:
        size = int(self.tell(accept))
        assert self.process.stdout is not None
        return self.process.stdout.read(size)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def two_workers(folder: Path) -> Iterator[tuple[Worker, Worker]]:
    environment = {**os.environ, ENVIRONMENT: str(folder)}
    workers = (Worker(environment), Worker(environment))
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.process.poll() is None:
                worker.kill()


def test_any_worker_tells_the_sum_of_all_and_the_dead_are_not_in_flight(tmp_path: Path) -> None:
    with two_workers(tmp_path / "made") as (one, other):
        for worker in (one, one, other):
            assert worker.tell("count") == b"done\n"
        for worker in (one, other):
            page = worker.page().decode()
            assert 'route="/v1/x",team="t"} 3.0' in page
            assert 'gw_inflight{model="smol"} 3.0' in page
            assert 'gen_ai_request_model="smol"} 1.5' in page
        families = {f.name for f in open_families(one.page(OPEN_METRICS))}
        assert {"gw_requests", "gw_inflight"} <= families
        one.kill()
        page = other.page().decode()
        assert 'route="/v1/x",team="t"} 3.0' in page
        assert 'gw_inflight{model="smol"} 1.0' in page


def test_asking_for_many_workers_too_late_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    with pytest.raises(RuntimeError, match="before the worker processes start"):
        Meters(DECLARED)
