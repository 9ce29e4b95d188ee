"""Metrics that are pushed are those of the page, and a collector that is down costs nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from gateway.adapters.meters import Meters
from gateway.adapters.otlp_metrics import SHUTDOWN_SECONDS, MetricsPush, metrics_url
from gateway.domain import metrics
from tests.otlp_metrics_sink import MetricsSink, SunkPoint


@dataclass(frozen=True)
class Settings:
    otlp_endpoint: str | None = None
    otlp_metrics: bool = True
    otlp_metrics_interval_s: float = 30.0
    service_name: str = "vllm-gateway"


class Pushed:
    """A push of meters with one of each kind of metric told."""

    def __init__(self, endpoint: str | None, **settings: float) -> None:
        self.meters = Meters((metrics.REQUESTS, metrics.DURATION, metrics.INFLIGHT))
        self.meters.add(metrics.REQUESTS, 3, "/v1", "smol", "red", "completed")
        self.meters.add(metrics.INFLIGHT, 2, "smol")
        for seconds in (0.02, 0.02, 700.0):
            self.meters.observe(metrics.DURATION, seconds, "/v1", "smol", trace_id="a" * 32)
        self.lost: list[int] = []
        own = Settings(endpoint, **settings)  # type: ignore[arg-type]
        self.push = MetricsPush(own, self.meters.registry, self.lost.append)
        self.looks = 0

    async def look(self) -> None:
        self.looks += 1


def one(points: list[SunkPoint], name: str) -> SunkPoint:
    [found] = [point for point in points if point.name == name]
    return found


@pytest.fixture
def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def mute_collector() -> Iterator[str]:
    """It accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    # With nobody there any more, what still waits for an answer ends.
    for thread in threading.enumerate():
        if thread.name == "telemetry-push":
            thread.join(timeout=10)
            assert not thread.is_alive()


async def test_what_was_counted_is_pushed_at_the_end() -> None:
    before = time.time_ns()
    with MetricsSink() as sink:
        pushed = Pushed(sink.endpoint)
        await pushed.push.aclose()
        points = sink.wait_for_push()
    requests = one(points, "gw_requests_total")
    assert (requests.kind, requests.value, requests.unit) == ("sum", 3, "{requests}")
    assert requests.monotonic
    assert requests.cumulative
    assert requests.labels["team"] == "red"
    assert before <= requests.start_ns <= time.time_ns()
    inflight = one(points, "gw_inflight")
    assert (inflight.kind, inflight.value, inflight.labels) == ("gauge", 2, {"model": "smol"})
    assert {point.name for point in points} == {"gw_requests_total", "gw_inflight", *DURATION}
    assert sink.paths == {"/v1/metrics"}
    assert pushed.lost == []


DURATION = ("gw_request_duration_seconds",)


async def test_a_histogram_keeps_its_buckets() -> None:
    with MetricsSink() as sink:
        await Pushed(sink.endpoint).push.aclose()
        duration = one(sink.wait_for_push(), "gw_request_duration_seconds")
    assert (duration.kind, duration.unit, duration.count) == ("histogram", "s", 3)
    assert duration.value == pytest.approx(700.04)
    assert duration.bounds == metrics.DURATION.buckets
    assert duration.buckets == (0, 2, *[0] * (len(duration.bounds) - 2), 1)
    assert duration.cumulative
    assert not duration.extremes
    assert duration.labels == {"route": "/v1", "model": "smol"}


async def test_each_process_is_told_apart() -> None:
    with MetricsSink() as sink:
        await Pushed(sink.endpoint).push.aclose()
        sink.wait_for_push()
    [resource] = sink.resources
    assert resource["service.name"] == "vllm-gateway"
    assert resource["service.instance.id"]


async def test_they_are_pushed_at_each_interval_and_brought_up_to_date_before() -> None:
    with MetricsSink() as sink:
        pushed = Pushed(sink.endpoint, otlp_metrics_interval_s=0.01)
        with pushed.push.pushing(pushed.look):
            await asyncio.to_thread(sink.wait_for_push, 2)
        assert pushed.looks >= 2
        await pushed.push.aclose()


async def test_a_look_that_fails_costs_no_push(caplog: pytest.LogCaptureFixture) -> None:
    async def blind() -> None:
        raise OSError("no eyes")

    with MetricsSink() as sink:
        pushed = Pushed(sink.endpoint, otlp_metrics_interval_s=0.01)
        with pushed.push.pushing(blind):
            await asyncio.to_thread(sink.wait_for_push, 2)
        await pushed.push.aclose()
    assert "no eyes" in caplog.text


async def test_the_event_loop_does_nothing_of_it() -> None:
    seen: list[threading.Thread] = []

    class Watching(Collector):
        def collect(self) -> list[Family]:
            seen.append(threading.current_thread())
            return []

    with MetricsSink() as sink:
        pushed = Pushed(sink.endpoint)
        pushed.meters.registry.register(Watching())
        seen.clear()  # it is asked once when it is registered
        await pushed.push.aclose()
    assert seen != []
    assert threading.current_thread() not in seen


async def test_a_push_that_nobody_takes_is_counted(closed_port: str) -> None:
    pushed = Pushed(closed_port)
    await pushed.push.aclose()
    assert pushed.lost == [1]


async def test_a_collector_that_says_nothing_holds_up_the_end_for_seconds_only(
    mute_collector: str,
) -> None:
    pushed = Pushed(mute_collector)
    began = time.monotonic()
    await pushed.push.aclose()
    assert time.monotonic() - began < SHUTDOWN_SECONDS + 2


@pytest.mark.parametrize("settings", [Settings(), Settings("http://x", otlp_metrics=False)])
async def test_where_nothing_is_asked_for_nothing_is_pushed(settings: Settings) -> None:
    push = MetricsPush(settings, Meters(()).registry, lambda count: None)
    looked: list[int] = []

    async def look() -> None:
        looked.append(1)

    with push.pushing(look):
        pass
    await push.aclose()
    assert looked == []
    assert "telemetry-push" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://c:4318", "http://c:4318/v1/metrics"),
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("http://c:4318/v1/traces", "http://c:4318/v1/metrics"),
        ("http://c:4318/v1/metrics", "http://c:4318/v1/metrics"),
        ("http://c/otlp", "http://c/otlp/v1/metrics"),
    ],
)
def test_metrics_go_beside_the_traces(endpoint: str, url: str) -> None:
    assert metrics_url(endpoint) == url
