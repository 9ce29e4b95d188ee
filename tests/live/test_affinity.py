"""prefix_affinity on real vLLM: conversations find their prefix in a replica's cache again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live.fronted import GREEDY, MODEL, write_litellm_config
from tests.live.vllm_server import Replica
from tests.served_command import served_command

pytestmark = pytest.mark.live

# An odd number: with an even one, taking turns would happen to bring each conversation back to
# the replica that it came from.
CONVERSATIONS = 9
TURNS = 4
AT_ONCE = 4
BETTER = 1.8
# Some 350 tokens: vLLM's CPU build caches prefixes in blocks of 128.
WORDS_A_TURN = 48

Send = Callable[[list[dict[str, str]]], Awaitable[str]]


def turn(run: str, conversation: int, number: int) -> dict[str, str]:
    """A message of some cache blocks that no other conversation has, nor another run."""
    words = " ".join(f"{run}{conversation}-{number}-{at}" for at in range(WORDS_A_TURN))
    return {"role": "user", "content": f"Remember these words: {words}. Say one of them."}


async def converse(run: str, send: Send) -> None:
    """All conversations, interleaved: the first turn of each, then the second of each …"""
    messages: list[list[dict[str, str]]] = [[] for _ in range(CONVERSATIONS)]
    limit = asyncio.Semaphore(AT_ONCE)

    async def take(conversation: int, number: int) -> None:
        async with limit:
            said = messages[conversation]
            said.append(turn(run, conversation, number))
            said.append({"role": "assistant", "content": await send(said)})

    for number in range(TURNS):
        await asyncio.gather(*(take(one, number) for one in range(CONVERSATIONS)))


def cached(replicas: tuple[Replica, ...]) -> tuple[float, float]:
    """Tokens found in the prefix caches, and tokens looked up there, so far."""
    now = [replica.metrics() for replica in replicas]
    hits = sum(metrics["vllm:prefix_cache_hits_total"] for metrics in now)
    return hits, sum(metrics["vllm:prefix_cache_queries_total"] for metrics in now)


async def post(http: httpx.AsyncClient, url: str, model: str, messages: list[Any]) -> str:
    body = {"model": model, "messages": messages, "max_tokens": 4, **GREEDY}
    answer = await http.post(f"{url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.timeout(600, func_only=True)
async def test_affinity_finds_far_more_of_the_prompts_in_the_caches_than_taking_turns(
    vllm_replicas: tuple[Replica, ...], tmp_path: Path, progress: Callable[[str], None]
) -> None:
    folder = tmp_path / "affinity"
    folder.mkdir()
    write_litellm_config(folder, vllm_replicas, routing_strategy="prefix_affinity")
    turns = itertools.cycle(vllm_replicas)
    async with httpx.AsyncClient(timeout=120) as http:
        before, _ = cached(vllm_replicas)

        async def by_turns(messages: list[dict[str, str]]) -> str:
            replica = next(turns)
            return await post(http, replica.base_url, replica.model, messages)

        await converse("turns", by_turns)
        between, asked_between = cached(vllm_replicas)
        with served_command(folder) as served:

            async def through(messages: list[dict[str, str]]) -> str:
                return await post(http, f"{served.url}/v1", MODEL, messages)

            await converse("house", through)
        after, asked_after = cached(vllm_replicas)
    turned, found, asked = between - before, after - between, asked_after - asked_between
    progress(
        f"prefix cache: {found:.0f} of {asked:.0f} tokens found with prefix_affinity, "
        f"{turned:.0f} when replicas take turns ({found / turned:.2f} times)"
    )
    assert found >= BETTER * turned
