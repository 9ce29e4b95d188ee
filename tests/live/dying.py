"""Mock replicas that are killed in turn and come back on their ports: Dying."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from gateway.testing.mock_vllm import Behaviour, MockVLLM


@dataclass(frozen=True, slots=True)
class Death:
    """Replica number `replica` was killed `at` (monotonic seconds), and is back since `back`."""

    replica: int
    at: float
    back: float


@contextmanager
def mock_replicas(count: int, model: str, pace: float) -> Iterator[list[MockVLLM]]:
    """Mocks that repeat what they are asked, `pace` seconds a token."""
    script = (Behaviour(echo=True, delay_first=pace, delay_between=pace),)
    with ExitStack() as stack:
        yield [
            stack.enter_context(MockVLLM.start(model=model, script=script)) for _ in range(count)
        ]


async def die_in_turn(
    mocks: Sequence[MockVLLM], seconds: float, every: float, gone: float
) -> list[Death]:
    """For so many seconds kill one with SIGKILL `every` so many, and start it again when it has
    been `gone` for a while."""
    deaths, ends = list[Death](), time.monotonic() + seconds
    while time.monotonic() + every < ends:
        await asyncio.sleep(every - gone)
        replica = len(deaths) % len(mocks)
        at = time.monotonic()
        await asyncio.to_thread(mocks[replica].kill)
        await asyncio.sleep(gone)
        await asyncio.to_thread(mocks[replica].restart)
        deaths.append(Death(replica, at, time.monotonic()))
    return deaths


def running(mocks: Sequence[MockVLLM]) -> int:
    """Requests that are being answered now."""
    return sum(one.outcome == "running" for mock in mocks for one in mock.requests())


def left(mocks: Sequence[MockVLLM]) -> int:
    """Requests whose client has left."""
    return sum(one.outcome == "client_left" for mock in mocks for one in mock.requests())
