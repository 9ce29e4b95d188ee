"""What tests of the rooms share."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Back-off sleeps, in seconds, not slept."""
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        if seconds:
            pauses.append(seconds)
        await real(0)

    monkeypatch.setattr("gateway.flow.walk.asyncio.sleep", sleep)
    return pauses
