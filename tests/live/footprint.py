"""What a running gateway holds: descriptors, memory, processor time, and its own gauges."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.served_command import ServedCommand

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Footprint:
    """Of one process, from Linux's /proc. `resident` in KiB, `cpu` in seconds since it began."""

    descriptors: int
    threads: int
    resident: int
    cpu: float

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """As it is now."""
        proc = Path(f"/proc/{pid}")
        rows = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        # After the command's name in brackets, which may hold anything.
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        return cls(
            descriptors=len(list((proc / "fd").iterdir())),
            threads=int(rows["Threads"]),
            resident=int(rows["VmRSS"].split()[0]),
            cpu=(int(fields[11]) + int(fields[12])) / _TICKS,
        )


class Gauges:
    """One look at a gateway's /metrics."""

    def __init__(self, gateway: ServedCommand) -> None:
        page = httpx.get(f"{gateway.url}/metrics", timeout=30).text
        self._samples = [
            sample for family in text_string_to_metric_families(page) for sample in family.samples
        ]

    def sum(self, name: str, **labels: str) -> float:
        """Of all series of this name that have these labels; 0 where there is none."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of a metric by one of its labels, those above 0."""
        return {s.labels[label]: s.value for s in self._samples if s.name == name and s.value}


def replicas_of(gateway: ServedCommand) -> list[dict[str, Any]]:
    """What the gateway knows of each of its replicas."""
    rows: list[dict[str, Any]] = httpx.get(f"{gateway.url}/admin/replicas", timeout=30).json()[
        "replicas"
    ]
    return rows
