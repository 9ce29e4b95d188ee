"""An answer that is cut counts what was produced: the replica's own count, else our guess."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import pytest

from gateway.domain.call import Usage
from gateway.domain.errors import GatewayError
from gateway.domain.ports import Replica
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    a_call,
    a_replica,
    chunk,
    failing,
    streamed,
)
from tests.flow.house import House

REFUSED = b'{"error": {"message": "stream_options.continuous_usage_stats: unknown field"}}'


class Counting(FakeRouter):
    """Its replicas can tell usage in every chunk."""

    def replicas(self, model: str) -> tuple[Replica, ...]:
        return tuple(replace(one, counts=True) for one in super().replicas(model))

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        return tuple(replace(one, counts=True) for one in await super().healthy(model))

    async def pick(self, *args: object) -> Replica | None:
        picked = await super().pick(*args)  # type: ignore[arg-type]
        return replace(picked, counts=True) if picked else None


def counted(text: str, tokens: int) -> bytes:
    said = orjson.loads(chunk(text).removeprefix(b"data: "))
    said["usage"] = {"prompt_tokens": 9, "total_tokens": 9 + tokens, "completion_tokens": tokens}
    return b"data: " + orjson.dumps(said) + b"\n\n"


async def left_after(house: House, pieces: int) -> bytes:
    """What a client reads that leaves after so many."""
    said = b""
    async with house.pipeline.answer(a_call(stream=True)) as reply:
        chunks: AsyncIterator[bytes] = aiter(reply.chunks)
        for _ in range(pieces):
            said += await anext(chunks)
    return said


async def test_a_client_that_leaves_has_used_what_was_produced() -> None:
    answer = FakeAnswer(steps=(counted("one", 1), counted(" two", 4), counted(" three", 5)))
    house = House([answer], router=Counting())
    said = await left_after(house, 2)
    assert b"usage" not in said
    assert house.outcome.usage == Usage(9, 4)
    assert house.wire.sent[0].body["stream_options"] == {
        "include_usage": True,
        "continuous_usage_stats": True,
    }


async def test_a_client_that_reads_nothing_has_used_what_came_first() -> None:
    house = House([FakeAnswer(steps=(counted("one", 1),))], router=Counting())
    await left_after(house, 0)
    assert house.outcome.usage == Usage(9, 1)


async def test_where_nobody_counts_it_is_guessed_and_said_to_be() -> None:
    pieces = ("", "one", " two", " three")
    house = House([streamed(*pieces)])
    await left_after(house, 4)
    used = house.outcome.usage
    assert used is not None
    assert used.estimated
    assert used.completion == 3
    assert used.prompt > 0


async def test_a_replica_that_refuses_to_count_is_not_asked_again() -> None:
    refused = failing(400, REFUSED)
    house = House([refused, streamed("one"), streamed("two")], router=Counting())
    for _ in range(2):
        assert b"[DONE]" in await house.ask(a_call(stream=True))
    asked = [one.body["stream_options"] for one in house.wire.sent]
    assert asked[0] == {"include_usage": True, "continuous_usage_stats": True}
    assert asked[1:] == [{"include_usage": True}] * 2
    assert refused.released
    assert house.router.load == {"r0": 0}
    assert len(house.telemetry.tried) == 2  # no attempt was spent on it


async def test_a_client_cannot_make_a_replica_count_no_more() -> None:
    quoted = failing(400, b'{"error": {"message": "not a number: continuous_usage_stats"}}')
    house = House([quoted, quoted, streamed("one")], router=Counting())
    with pytest.raises(GatewayError):
        await house.ask(a_call(stream=True))
    await house.ask(a_call(stream=True))
    assert "continuous_usage_stats" in str(house.wire.sent[-1].body["stream_options"])


async def test_a_replica_that_does_not_count_is_a_replica_like_any_other() -> None:
    house = House([streamed("one")])
    await house.ask(a_call(stream=True))
    assert house.wire.sent[0].body["stream_options"] == {"include_usage": True}
    assert not a_replica().counts
