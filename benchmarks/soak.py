"""Do streams feel it when other streams' replicas die? `benchmarks/soak.py [--apart] [FILE.json]`.

The crowd and the replicas of tests/live/test_soak.py, in one run: first in peace; then while other
servers, which nobody asks, are killed and started every three seconds; then while its own replicas
are. Compared are the gaps between pieces, and the times to the first one, of two kinds of streams:

- bystanders: of another model, whose replica never dies. With the others they share the gateway
  alone: what they feel is the gateway's doing.
- unaffected: of the model whose replicas die, on one that lived. It takes over what the dead one
  did, a hundred requests in one moment: they feel that too.

The ratio of the last two phases is what counts: starting a server takes processor time from all,
and the numbers are of a machine on which clients, gateway and replicas share the processors.
`--apart` gives the gateway a processor of its own (it needs two).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.live.crowd import Answer
from tests.live.dying import mock_replicas
from tests.live.soak import Load, Phase, soaking

LOAD = Load(clients=400, bystanders=100, calm=24.0)


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
    return {
        "streams": len(phase.stayed) + len(phase.bystanding),
        "deaths": len(phase.deaths),
        "lost": len(phase.wrong) + sum(bool(one.wrong) for one in phase.bystanding),
        "gateway_cpu": round(phase.cpu, 2),
        "resident_kib": phase.after.resident,
        "descriptors": phase.after.descriptors,
        **{name: {"streams": len(of), **told(of, pace)} for name, of in kinds(phase).items()},
    }


def kinds(phase: Phase) -> dict[str, list[Answer]]:
    """The streams whose replica lived."""
    return {"bystanders": phase.bystanding, "unaffected": phase.unaffected()}


def ratios(phase: Phase, other: Phase) -> dict[str, dict[str, float]]:
    """Of the p99, gaps and first tokens in full (not the lateness: what a reader sees is the gap),
    for each kind of stream."""
    return {
        name: {
            "gap_p99": round(_p99(_gaps(now)) / _p99(_gaps(then)), 2),
            "first_p99": round(_p99(_firsts(now)) / _p99(_firsts(then)), 2),
        }
        for (name, now), then in zip(kinds(phase).items(), kinds(other).values(), strict=True)
    }


def _gaps(answers: Sequence[Answer]) -> list[float]:
    return [gap for answer in answers for gap in answer.gaps]


def _firsts(answers: Sequence[Answer]) -> list[float]:
    return [answer.first for answer in answers]


def _p99(values: Sequence[float]) -> float:
    return quantile(values, 0.99)


def give_a_processor(pid: int, processor: int) -> None:
    """To all threads of a process."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {processor})


async def measure(*, apart: bool) -> dict[str, object]:
    """All phases, and how the last one compares."""
    processors = os.sched_getaffinity(0)
    if apart:
        # What is started from here on inherits it, and the gateway gets the one that is left.
        os.sched_setaffinity(0, processors - {max(processors)})
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "gateway"
        folder.mkdir()
        with (
            soaking(folder, LOAD) as soak,
            mock_replicas(LOAD.replicas, "nobody", LOAD.pace) as others,
        ):
            if apart:
                give_a_processor(soak.gateway.process.pid, max(processors))
            await soak.phase(3.0, deadly=False)
            calm = await soak.phase(LOAD.calm, deadly=False)
            busy = await soak.phase(LOAD.storm, deadly=False, beside=others)
            storm = await soak.phase(LOAD.storm, deadly=True)
    return {
        "calm": row(calm, LOAD.pace),
        "others die": row(busy, LOAD.pace),
        "storm": row(storm, LOAD.pace),
        "storm to others": ratios(storm, busy),
        "storm to calm": ratios(storm, calm),
    }


def main() -> None:
    apart, *paths = sys.argv[1:] if "--apart" in sys.argv[1:2] else [None, *sys.argv[1:]]
    result = asyncio.run(measure(apart=bool(apart)))
    text = json.dumps(result, indent=2)
    print(text)
    for path in paths:
        Path(path).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
