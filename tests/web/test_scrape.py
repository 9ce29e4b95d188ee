"""Any worker's page is that of all, whoever of them is dead, half dead or new."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics

from gateway.adapters.meters import Meters
from gateway.domain.metrics import DURATION, INFLIGHT
from gateway.web.scrape import ASK, Scrape
from gateway.web.siblings import Siblings
from tests.adapters.metered_calls import samples

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"
WORKER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from gateway.adapters.meters import Meters
    from gateway.web.scrape import ASK, Scrape
    from gateway.web.siblings import Siblings
    from gateway.domain.metrics import DURATION, INFLIGHT

    async def look():
        pass

    async def main():
        meters = Meters()
        meters.add(INFLIGHT, 5, "smol")
        meters.observe(DURATION, 0.5, "/v1/x", "smol", trace_id="beef")
        siblings = Siblings(Path(sys.argv[1]), 2, seconds=20)
        scrape = Scrape(meters, siblings, look)
        async with siblings.answering({ASK: scrape.own}), scrape.running():
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

    asyncio.run(main())
    """
)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Short: a socket's path has at most 104 characters.
    with tempfile.TemporaryDirectory(prefix="gw-") as made:
        yield Path(made)


@asynccontextmanager
async def scraping(folder: Path | None, patience: float = 20.0) -> AsyncIterator[Scrape]:
    async def look() -> None:
        meters.put(INFLIGHT, 1, "smol")

    meters = Meters()
    siblings = Siblings(folder, 2, patience)
    scrape = Scrape(meters, siblings, look)
    async with siblings.answering({ASK: scrape.own}), scrape.running():
        yield scrape


@pytest.fixture
def worker(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with another(folder) as process:
        yield process


def another(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WORKER, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


async def test_a_worker_alone_has_no_label_and_tells_of_its_process() -> None:
    async with scraping(None) as scrape:
        page, _ = await scrape.page()
        found = samples(page)
    assert found["gw_inflight{model=smol}"] == 1
    assert found["gw_worker_up{worker=0}"] == 1
    assert found["process_open_fds{}"] > 0
    async with scraping(None) as scrape:
        await scrape.page()
        page, _ = await scrape.page()
    assert samples(page)["gw_scrape_bytes{}"] > 1000


async def test_the_page_of_one_is_that_of_all_with_its_exemplars(
    folder: Path, worker: subprocess.Popen[bytes]
) -> None:
    async with scraping(folder) as scrape:
        page, kind = await scrape.page(OPEN_METRICS)
        plain = samples((await scrape.page())[0])
    assert kind.startswith("application/openmetrics-text")
    families = list(openmetrics.text_string_to_metric_families(page.decode()))  # type: ignore[no-untyped-call]
    [duration] = [one for one in families if one.name == DURATION.name]
    assert [one.exemplar.labels for one in duration.samples if one.exemplar] == [
        {"trace_id": "beef"}
    ]
    assert plain["gw_inflight{model=smol,worker=0}"] == 5
    assert plain["gw_inflight{model=smol,worker=1}"] == 1
    assert "process_open_fds{worker=0}" in plain
    worker.communicate(b"\n")


async def test_a_worker_that_was_killed_is_told_as_down_and_its_place_is_taken_again(
    folder: Path, worker: subprocess.Popen[bytes]
) -> None:
    async with scraping(folder) as scrape:
        worker.kill()
        worker.wait()
        found = samples((await scrape.page())[0])
        assert found["gw_worker_up{worker=0}"] == 0
        assert "gw_inflight{model=smol,worker=0}" not in found
        with another(folder) as process:
            found = samples((await scrape.page())[0])
            assert found["gw_worker_up{worker=0}"] == 1
            assert found["gw_worker_restarts_total{worker=0}"] == 1
            process.communicate(b"\n")
        assert samples((await scrape.page())[0])["gw_worker_up{worker=0}"] == 0


async def test_a_worker_that_hangs_keeps_nobody_waiting(
    folder: Path, worker: subprocess.Popen[bytes]
) -> None:
    async with scraping(folder, patience=0.2) as scrape:
        worker.send_signal(signal.SIGSTOP)
        try:
            found = samples((await scrape.page())[0])
        finally:
            worker.kill()
    assert found["gw_worker_up{worker=0}"] == 0
    assert found["gw_inflight{model=smol,worker=1}"] == 1
