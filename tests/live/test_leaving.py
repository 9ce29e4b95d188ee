"""A client that leaves frees real vLLM: within two seconds it has no request running."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.fronted import CHAT, MODEL
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, until

pytestmark = pytest.mark.live

FREED_WITHIN_S = 2.0
# Left alone each would go on for the whole window: a minute and more.
ENDLESS = {"model": MODEL, "messages": CHAT, "max_tokens": 1900, "ignore_eos": True}
SOURCE = Path(__file__).resolve().parents[2] / "gateway" / "domain" / "limits.py"
FILE = {"file": {"path": SOURCE.name, "content": SOURCE.read_text(encoding="utf-8")}}


def running(replicas: tuple[Replica, ...]) -> float:
    return sum(replica.metrics()["vllm:num_requests_running"] for replica in replicas)


def cancelled(gateway: ServedCommand) -> float:
    return gateway.metric("gw_requests_total", outcome="cancelled")


def assert_freed(gateway: ServedCommand, replicas: tuple[Replica, ...], before: float) -> None:
    until(lambda: running(replicas) == 0, FREED_WITHIN_S, "free")
    until(lambda: cancelled(gateway) == before + 1, FREED_WITHIN_S, "settled as cancelled")
    assert gateway.metric("gw_inflight") == 0


@pytest.mark.parametrize(
    ("path", "body", "piece"),
    [
        ("/v1/chat/completions", {**ENDLESS, "stream": True}, '"content":'),
        ("/api/ai/explain/stream", FILE, "event: delta"),
    ],
    ids=["chat", "explain"],
)
def test_a_stream_that_is_left_midway_is_stopped(
    gateway: ServedCommand,
    vllm_replicas: tuple[Replica, ...],
    path: str,
    body: dict[str, Any],
    piece: str,
) -> None:
    before = cancelled(gateway)
    with (
        httpx.Client(base_url=gateway.url, timeout=60) as http,
        http.stream("POST", path, json=body) as answer,
    ):
        text = answer.iter_text()
        while piece not in next(text):
            pass
    assert_freed(gateway, vllm_replicas, before)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", ENDLESS),
        ("/v1/chat/completions", {**ENDLESS, "stream": True, "n": 2}),
        ("/api/ai/explain", FILE),
    ],
    ids=["chat", "two choices, stream", "explain"],
)
async def test_an_answer_that_nobody_waits_for_is_stopped(
    gateway: ServedCommand, vllm_replicas: tuple[Replica, ...], path: str, body: dict[str, Any]
) -> None:
    before = cancelled(gateway)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=60) as http:
        task = asyncio.create_task(http.post(path, json=body))
        await asyncio.to_thread(until, lambda: running(vllm_replicas) > 0, 30, "running")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(assert_freed, gateway, vllm_replicas, before)
