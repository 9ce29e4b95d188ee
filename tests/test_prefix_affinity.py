"""Prefix affinity through the whole gateway: conversations stay, spread, and yield to load."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

SYSTEM = {"role": "system", "content": "You are terse. " * 50}
AFFINITY = {"routing_strategy": "prefix_affinity"}
QUICK = Settings(affinity={"poll_s": 0.05})  # type: ignore[arg-type]


@pytest.fixture
def replicas(mock_vllm_factory: MockFleet) -> list[MockVLLM]:
    return [mock_vllm_factory(model="m") for _ in range(3)]


@pytest.fixture
def gateway(replicas: list[MockVLLM]) -> Iterator[ServedGateway]:
    fleet = fleet_on([mock.base_url for mock in replicas], router_settings=AFFINITY)
    with ServedGateway(fleet, QUICK) as served:
        yield served


class Client:
    """Asks, and says which replica answered."""

    def __init__(self, gateway: ServedGateway, http: httpx.AsyncClient) -> None:
        self._url = gateway.url
        self._http = http

    async def chat(self, messages: list[dict[str, Any]], **fields: Any) -> str:
        asked = {"model": "m", "messages": messages, **fields}
        answer = await self._http.post(f"{self._url}/v1/chat/completions", json=asked, timeout=30)
        assert answer.status_code == 200
        return answer.headers["x-gateway-replica"]

    async def talk(self, number: int, turns: int) -> set[str]:
        """A conversation; the replicas that had a part in it."""
        messages = [SYSTEM, {"role": "user", "content": f"question {number}"}]
        seen = set()
        for turn in range(turns):
            seen.add(await self.chat(messages, stream=turn % 2 == 1))
            messages.append({"role": "assistant", "content": f"answer {turn}"})
            messages.append({"role": "user", "content": f"and then, {turn}?"})
        return seen


async def test_all_four_turns_of_each_of_many_conversations_go_to_one_replica(
    gateway: ServedGateway,
) -> None:
    counts: Counter[str] = Counter()
    async with httpx.AsyncClient() as http:
        client = Client(gateway, http)
        for start in range(0, 90, 3):
            talks = [client.talk(start + number, turns=4) for number in range(3)]
            for seen in await asyncio.gather(*talks):
                assert len(seen) == 1
                counts.update(seen)
    assert set(counts) == {"r0", "r1", "r2"}
    assert max(counts.values()) <= 2 * min(counts.values())


async def test_one_prompt_that_everybody_sends_spills_over_and_comes_back(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    messages = [SYSTEM, {"role": "user", "content": "the same for all"}]
    async with httpx.AsyncClient() as http:
        client = Client(gateway, http)
        own = await client.chat(messages)
        for mock in replicas:
            mock.script(Behaviour(tokens=4, delay_first=0.5))
        counts = Counter(await asyncio.gather(*(client.chat(messages) for _ in range(24))))
        for mock in replicas:
            mock.script()
        assert await client.chat(messages) == own
    # Its share of 24 is 8; a quarter more and two are 12.
    assert counts[own] == max(counts.values()) <= 12
    assert len(counts) == 3


async def test_a_replica_that_says_it_has_a_queue_is_spared(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    messages = [SYSTEM, {"role": "user", "content": "hello"}]
    async with httpx.AsyncClient() as http:
        client = Client(gateway, http)
        own = await client.chat(messages)
        mock = replicas[int(own[1:])]
        mock.load(waiting=9, kv_cache_usage=0.5)
        polled = len(mock.requests("/metrics"))
        await mock.settled(polled + 2, path="/metrics")
        assert await client.chat(messages) != own
        mock.load()
        polled = len(mock.requests("/metrics"))
        await mock.settled(polled + 2, path="/metrics")
        assert await client.chat(messages) == own


async def test_when_its_replica_dies_a_conversation_goes_on_elsewhere_and_stays_there(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    async with httpx.AsyncClient() as http:
        client = Client(gateway, http)
        [own] = await client.talk(1, turns=2)
        replicas[int(own[1:])].kill()
        later = [await client.talk(1, turns=4) for _ in range(3)]
    assert own not in set().union(*later)


async def test_what_is_asked_about_one_file_goes_to_one_replica(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    source = "def mean(xs):\n    return sum(xs) / len(xs)\n"
    async with httpx.AsyncClient() as http:
        for path in ("a.py", "b.py", "c.py", "d.py"):
            for mock in replicas:
                mock.reset()
            for number in range(4):
                asked = {
                    "file": {"path": path, "content": source + f"# {number}\n" * number},
                }
                answer = await http.post(f"{gateway.url}/api/ai/explain", json=asked, timeout=30)
                assert answer.status_code == 200, answer.text
            asked_of = [bool(mock.requests("/v1/chat/completions")) for mock in replicas]
            assert sum(asked_of) == 1
