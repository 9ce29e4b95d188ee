"""Nobody adds series: not a client with ten thousand names, nor a replica."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, PromptRef, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.retry import Fault
from gateway.domain.step import Step
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.adapters.metered_calls import Told
from tests.shared_gateway import forgetful

ATTACKS = 10_000
TOGETHER = 8
SATURATED = 1_100  # the widest label holds a thousand
# They grow with time and not with requests.
_OF_ITSELF = ("gw_metric_series", "gw_scrape")

Series = frozenset[tuple[str, frozenset[tuple[str, str]]]]


def series(page: str) -> Series:
    """All that a page has."""
    return frozenset(
        (one.name, frozenset(one.labels.items()))
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if not one.name.startswith(_OF_ITSELF)
    )


def words(random: random.Random) -> str:
    """A name that nobody has had."""
    return f"n{random.getrandbits(64):x}"


def attack(luck: random.Random, kind: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    """Method, path, body, headers: whatever a client may choose, chosen anew."""
    word = words(luck)
    body: dict[str, Any] = {
        "model": word if kind % 2 else "m",
        "messages": [{"role": "user", "content": word, "name": word}],
        "tools": [{"type": "function", "function": {"name": word, "parameters": {}}}],
        "user": word,
        "max_tokens": 1,
    }
    headers = {
        "authorization": f"Bearer {word}",
        "x-request-id": word,
        "x-team": word,
        "user-agent": word,
        "traceparent": f"00-{luck.getrandbits(128) | 1:032x}-{luck.getrandbits(64) | 1:016x}-01",
        "tracestate": f"{word}=1",
    }
    asked = {"path": f"{word}.py", "content": word, "language": word}
    assist = {"file": asked, "prompt": {"name": word}, "model": "m"}
    return (
        ("POST", "/v1/chat/completions", body, headers),
        ("POST", "/v1/chat/completions", body, headers),
        ("POST", "/v1/embeddings", {"model": word, "input": word}, headers),
        ("POST", f"/v1/{word}", body, headers),
        ("POST", "/api/ai/explain", assist, headers),
        ("POST", f"/api/ai/{word}", assist, headers),
        ("GET", f"/requests/{word}", {}, headers),
        ("PUT", f"/{word}/{word}", body, headers),
    )[kind]


KINDS = 8


@pytest.fixture
def served() -> Iterator[str]:
    with (
        MockVLLM.start(model="m", script=(Behaviour(tokens=1),)) as mock,
        ServedGateway(fleet_on([mock.base_url]), forgetful(telemetry={"log_level": "error"})) as up,
    ):
        yield up.url


async def bombard(url: str, count: int, seed: int) -> set[int]:
    """So many attacks; the statuses that they got."""
    found: set[int] = set()

    async def client(number: int) -> None:
        luck = random.Random(seed * TOGETHER + number)
        for at in range(count // TOGETHER):
            found.add(await _send(url, *attack(luck, at % KINDS)))

    await asyncio.gather(*(client(number) for number in range(TOGETHER)))
    return found


async def _send(
    url: str, method: str, path: str, body: dict[str, Any], headers: dict[str, str]
) -> int:
    """On a connection of its own, by hand: a client of HTTP would cost more than the gateway."""
    where = urlsplit(url)
    payload = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: gateway", "connection: close"]
    lines += ["content-type: application/json", f"content-length: {len(payload)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
        answer = await reader.read()
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1])


def test_ten_thousand_names_of_a_client_add_no_series(served: str) -> None:
    first = asyncio.run(bombard(served, TOGETHER * KINDS * 2, 1))
    before = series(httpx.get(f"{served}/metrics", timeout=30).text)
    statuses = asyncio.run(bombard(served, ATTACKS, 2))
    after = series(httpx.get(f"{served}/metrics", timeout=30).text)
    assert statuses == first
    assert statuses >= {200, 404}
    # A first value may fall into a bucket beside one, but a page has all of a series' buckets.
    assert after - before == frozenset()


def _one(luck: random.Random) -> tuple[Call, Outcome]:
    """A call of which every word is new, replicas' and policies' included."""
    word = words(luck)
    call = Call(word, CHAT, word, {}, received=0.0, deadline=60.0, stream=True)
    call.caller = Caller(word, word)
    call.route = word
    call.prompt = PromptRef(word, word, word, word)
    facts: dict[str, Any] = {"gen_ai.prompt.name": word}
    if luck.random() < 0.5:
        facts |= {"gw.context.tokens": 5, "gw.context.cut": True}
    error = "" if "gw.context.tokens" in facts else word
    call.steps = (Step("render_prompt", 0.0, 0.1, facts, error),)
    kind = luck.choice(list(OutcomeKind))
    made = Outcome(
        kind,
        luck.randrange(100, 1000),
        usage=Usage(1, 1, estimated=luck.random() < 0.5),
        replica=word,
        served_model=word,
        attempts=(Attempt(word, luck.choice(list(Fault)), 0.1),),
        seconds=1.0,
        first_token_seconds=0.5,
    )
    return call, replace(made, code=word)


def test_ten_thousand_names_from_anywhere_fill_each_label_and_then_no_more() -> None:
    told, luck = Told(), random.Random(3)

    def tell(count: int) -> Series:
        for _ in range(count):
            call, outcome = _one(luck)
            flying = told.calls.began(call)
            told.calls.verdict(call.id, call.id, 0.1)
            told.calls.attempted(call.id, call.id)
            told.calls.cost(call, 5)
            told.house.rate_limited(call.id, "key")
            told.house.budget_used(call.id, call.id, 0.5)
            told.calls.settled(call, outcome, flying)
        return series(told.meters.render()[0].decode())

    full = tell(SATURATED * 4)
    # Sets of labels may still meet for the first time; a metric has a most of those, too.
    sizes = told.samples("gw_metric_series")
    assert max(sizes[one] for one in sizes if one.startswith("gw_metric_series{")) <= 2_000
    assert tell(ATTACKS) - full == frozenset()
