"""Five hundred streams while replicas die every few seconds: all whole, and nothing left behind.

The replicas are mocks, each a process that is killed with SIGKILL. How long anything took is for
benchmarks/soak.py to say.
"""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import httpx
import pytest

from tests.live.crowd import ask
from tests.live.environments import tail
from tests.live.footprint import Footprint, Gauges, replicas_of
from tests.live.soak import Load, Phase, Soak, soaking

pytestmark = pytest.mark.live

# Up to 10 MiB were seen: Python's allocator, and garbage that is not due yet. To keep what one
# stream in flight takes (60 KiB) of each that the storm brought would be twice this.
_MOST_GROWTH_KIB = 24 * 1024


def assert_whole(phase: Phase, soak: Soak) -> None:
    wrong = list(phase.wrong.items())
    if wrong:
        number, why = wrong[0]
        record = httpx.get(f"{soak.gateway.url}/requests/q-{number}").text
        pytest.fail(
            f"{len(wrong)} of {len(phase.stayed)}: {why}\n{record}\n{tail(soak.gateway.log)}"
        )


async def test_no_stream_is_lost_and_nothing_stays_when_replicas_die_every_few_seconds(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    with soaking(folder, Load()) as soak:
        calm = await soak.phase(soak.load.calm, deadly=False)
        storms = [await soak.phase(soak.load.storm / 2, deadly=True) for _ in range(2)]
        for phase in (calm, *storms):
            assert_whole(phase, soak)
        gauges = await asyncio.to_thread(Gauges, soak.gateway)

    assert sum(len(storm.deaths) for storm in storms) >= 4
    stayed = [answer for storm in storms for answer in storm.stayed]
    unaffected = [answer for storm in storms for answer in storm.unaffected()]
    assert len(unaffected) < 0.9 * len(stayed), "it was a storm"
    handovers = gauges.by("gw_handovers_total", "result")
    assert set(handovers) <= {"continued", "restarted", "finished"}, handovers
    assert sum(handovers.values()) > 100
    answers = [answer for phase in (calm, *storms) for answer in phase.answers]
    left = sum(answer.left for answer in answers)
    settled = {"completed": len(answers) - left, "cancelled": left}
    assert gauges.by("gw_requests_total", "outcome") == settled
    assert gauges.sum("gw_queue_depth") == 0
    # Of the probes' connections one more or less may be open.
    assert storms[1].after.descriptors <= calm.before.descriptors + len(soak.mocks) + 1
    assert storms[1].after.threads <= calm.after.threads
    # The first storm is what the process grows by once.
    assert storms[1].after.resident - storms[0].after.resident < _MOST_GROWTH_KIB


async def test_a_gateway_out_of_descriptors_says_so_blames_nobody_and_recovers(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    with soaking(folder, Load(pace=0.05, replicas=2)) as soak:
        url, pid = soak.gateway.url, soak.gateway.process.pid
        room = Footprint.of(pid).descriptors + 260
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (room, room))
        # Two hundred clients find room, two hundred connections to replicas do not; nor do as many
        # clients as there are descriptors twice over.
        for first, last in ((0, 200), (200, 800)):
            answers = await asyncio.gather(*(ask(url, number) for number in range(first, last)))
            refused = [answer for answer in answers if answer.wrong]
            assert len(refused) > 20, "there are more clients than descriptors"
            for answer in refused:
                assert (answer.status, answer.error) == (503, "gateway_overloaded"), answer.wrong
                assert answer.headers["retry-after"] == "1"
            await asyncio.to_thread(soak.idle)
        for number in range(800, 810):
            assert not (await ask(url, number)).wrong
        replicas = await asyncio.to_thread(replicas_of, soak.gateway)
    assert {one["state"] for one in replicas} == {"healthy"}, replicas
    assert not any(one["last_fault"] for one in replicas), replicas
