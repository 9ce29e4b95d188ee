"""Do streams feel it when other streams' replicas die? `python benchmarks/soak.py [result.json]`.

The crowd and the replicas of tests/live/test_soak.py, in one run: first in peace; then while other
servers, which nobody asks, are killed and started every three seconds; then while its own replicas
are. Compared are the streams that never were on a replica that died: the gaps between their pieces,
and their times to the first one. The ratio of the last two phases is what counts: starting a server
takes processor time from all, and the numbers are of a machine on which clients, gateway and
replicas share the processors.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.live.crowd import Answer
from tests.live.dying import mock_replicas
from tests.live.soak import Load, Phase, soaking

LOAD = Load(calm=24.0)


def quantile(values: Sequence[float], share: float) -> float:
    """Of values of which there is at least one."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def told(answers: Sequence[Answer], pace: float) -> dict[str, float]:
    """Milliseconds of lateness: beyond the `pace` at which the replicas speak."""
    late = {
        "gap": [gap - pace for answer in answers for gap in answer.gaps if gap > pace / 2],
        "first": [answer.first - pace for answer in answers],
    }
    return {
        f"{name}_{label}_late_ms": round(1000 * quantile(values, share), 1)
        for name, values in late.items()
        for label, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def row(phase: Phase, pace: float) -> dict[str, object]:
    """One phase in numbers."""
    unaffected = phase.unaffected()
    return {
        "streams": len(phase.stayed),
        "deaths": len(phase.deaths),
        "lost": len(phase.wrong),
        "unaffected": len(unaffected),
        "gateway_cpu": round(phase.cpu, 2),
        "resident_kib": phase.after.resident,
        "descriptors": phase.after.descriptors,
        **told(unaffected, pace),
    }


async def measure() -> dict[str, object]:
    """All phases, and the ratios of their p99, gaps and first tokens in full (not the lateness:
    what a reader sees is the gap)."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "gateway"
        folder.mkdir()
        with (
            soaking(folder, LOAD) as soak,
            mock_replicas(LOAD.replicas, "nobody", LOAD.pace) as others,
        ):
            await soak.phase(3.0, deadly=False)
            calm = await soak.phase(LOAD.calm, deadly=False)
            busy = await soak.phase(LOAD.storm, deadly=False, beside=others)
            storm = await soak.phase(LOAD.storm, deadly=True)
    gaps, firsts = [
        [quantile(of(phase), 0.99) for phase in (calm, busy, storm)]
        for of in (
            lambda phase: [gap for answer in phase.unaffected() for gap in answer.gaps],
            lambda phase: [answer.first for answer in phase.unaffected()],
        )
    ]
    return {
        "calm": row(calm, LOAD.pace),
        "others die": row(busy, LOAD.pace),
        "storm": row(storm, LOAD.pace),
        "storm to others": {
            "gap_p99": round(gaps[2] / gaps[1], 2),
            "first_p99": round(firsts[2] / firsts[1], 2),
        },
        "storm to calm": {
            "gap_p99": round(gaps[2] / gaps[0], 2),
            "first_p99": round(firsts[2] / firsts[0], 2),
        },
    }


def main() -> None:
    result = asyncio.run(measure())
    text = json.dumps(result, indent=2)
    print(text)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
