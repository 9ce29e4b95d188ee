"""Bounds that hold for every call: time, bytes, slots; and which call goes first: Priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Priority(StrEnum):
    """Who goes first where slots are few, highest first. The words are header values and labels."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """All in seconds. `total` covers a plain answer whole, and of a stream the time until it
    begins; `stream_total` covers a stream whole; `idle` is the longest gap between two chunks.
    `first_token_by_model` holds where `first_token` does not fit a model.
    """

    connect: float = 5.0
    first_token: float = 60.0
    idle: float = 60.0
    total: float = 60.0
    stream_total: float = 600.0
    first_token_by_model: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`slots` run at once for each replica that names no limit of its own; `size` calls may wait
    for one model, each at most `wait` seconds.

    A team gets turns in proportion to its weight (1 where none is named). Of `relief` turns in a
    row, one goes to a lower priority that waits.
    """

    slots: int = 64
    size: int = 256
    wait: float = 30.0
    weights: Mapping[str, float] = field(default_factory=dict)
    relief: int = 10


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """In seconds: `keepalive` is the longest silence on a stream before a comment is sent (0:
    none is), `client_stall` how long a client may leave what is there for it unread."""

    keepalive: float = 15.0
    client_stall: float = 60.0
