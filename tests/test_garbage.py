"""A call that is over is freed at once: what waits for the garbage collector halts every stream."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.domain.call import Call
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.web.clients import chat, connect, eventually, metric, request

CALLS = 5
SLOW = Behaviour(deltas=("word ",) * 40, delay_between=0.05)
CUT = Behaviour(deltas=("one ", "two ", "three ", "four"), close_after=3)
FILE = {"path": "a.py", "content": "def a():\n    return 1\n"}
QUICK = Settings(retries={"backoff_s": (0.01,), "floor": 100})  # type: ignore[arg-type]
CHAT, EXPLAIN = "/v1/chat/completions", "/api/ai/explain"
STREAM = request(CHAT, chat(), connection="close")


@contextmanager
def uncollected() -> Iterator[Counter[str]]:
    """Nothing is collected within; given is, once it is over, what was left to be: by type."""
    left = Counter[str]()
    gc.collect()
    gc.disable()
    try:
        yield left
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left.update(type(one).__qualname__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def said(gateway: ServedGateway, asked: bytes, most: int = sys.maxsize) -> bytes:
    """The answer, or its beginning of at least `most` bytes."""
    answer = b""
    with connect(gateway) as plug:
        plug.settimeout(20)
        plug.sendall(asked)
        while len(answer) < most and (piece := plug.recv(65_536)):
            answer += piece
    return answer


@pytest.mark.parametrize(
    ("script", "asked", "most", "outcome"),
    [
        ((), STREAM, sys.maxsize, b"data: [DONE]"),
        ((), request(CHAT, chat(stream=False), connection="close"), sys.maxsize, b'"usage"'),
        ((), request(EXPLAIN, {"file": FILE}, connection="close"), sys.maxsize, b'"explanation"'),
        ((), request(CHAT, chat(model="?"), connection="close"), sys.maxsize, b"model_not_found"),
        ((SLOW,), STREAM, 900, b"word"),
        ((CUT, Behaviour()), STREAM, sys.maxsize, b"data: [DONE]"),
        ((Behaviour(status=500), Behaviour()), STREAM, sys.maxsize, b"data: [DONE]"),
        ((Behaviour(status=500),) * 4, STREAM, sys.maxsize, b"replica_unavailable"),
    ],
    ids=str.split("stream whole explain refused left handed_over retried failed"),
)
async def test_no_call_is_left_to_the_garbage_collector(
    mock_vllm_factory: MockFleet,
    script: tuple[Behaviour, ...],
    asked: bytes,
    most: int,
    outcome: bytes,
) -> None:
    mocks = [mock_vllm_factory(model="m"), mock_vllm_factory(model="m")]
    with ServedGateway(fleet_on([mock.base_url for mock in mocks]), QUICK) as gateway:

        def ask() -> None:
            for mock in mocks:
                mock.script(*script)
            assert outcome in said(gateway, asked, most)

        async def settled(calls: int) -> None:
            await eventually(lambda: metric(gateway, "gw_requests_total") >= calls)

        ask()  # the first brings what is only loaded once
        await settled(1)
        with uncollected() as left:
            for _ in range(CALLS):
                ask()
            await settled(1 + CALLS)
    assert left[Call.__qualname__] == 0, left.most_common(30)
    assert left["frame"] == 0, left.most_common(30)


def test_what_is_left_is_counted() -> None:
    with uncollected() as left:
        ring: list[object] = [Call.__new__(Call)]
        ring.append(ring)
        del ring
    assert left["Call"] == 1
    assert gc.isenabled()
