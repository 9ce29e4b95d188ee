"""Bounds that hold for every call: time, bytes, slots."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. `total` covers a plain answer whole, and of a stream the time until it
    begins; `stream_total` covers a stream whole; `idle` is the longest gap between two chunks.
    """

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 60.0
    total: float = 60.0
    stream_total: float = 600.0


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`slots` run at once for each replica that names no limit of its own; `size` calls may wait
    for one model, each at most `wait` seconds."""

    slots: int = 64
    size: int = 256
    wait: float = 30.0
