"""Clients that leave, in every phase, over real sockets: the upstream closes, all is given back."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM, Received
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on
from tests.web.clients import chat, connect, eventually, metric, request

PATH = "/v1/chat/completions"
# One slot: a call that did not give it back would keep all later ones out.
NARROW = Settings(
    queue={"slots_per_replica": 1, "size": 1, "wait_s": 20},  # type: ignore[arg-type]
    retries={"limit": 1, "backoff_s": (20.0,)},  # type: ignore[arg-type]
)
TIMES = 5
# The promise. A machine that is busy with other things may miss it once, not as a rule.
PROMPT = 0.1
PATIENT = 2.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What the replica does, and how far the client lets it come before it leaves."""

    behaviour: Behaviour
    stream: bool
    reads: bytes = b""
    """It leaves once it has seen this."""


PHASES = {
    "waiting for headers": Phase(Behaviour(before_headers="hang"), True),
    "waiting for headers, plain": Phase(Behaviour(before_headers="hang"), False),
    "waiting for the first token": Phase(Behaviour(stall_after=0), True),
    "between two tokens": Phase(Behaviour(tokens=9, stall_after=3), True, b"data: "),
    "streaming": Phase(Behaviour(tokens=2000, delay_between=0.01), True, b"data: "),
    "plain, half of it here": Phase(Behaviour(text="hello", stall_after=1), False),
}


@pytest.fixture
def one(mock_vllm_factory: MockFleet) -> Iterator[tuple[ServedGateway, MockVLLM]]:
    mock = mock_vllm_factory(model="m")
    with ServedGateway(fleet_on([mock.base_url]), NARROW) as served:
        yield served, mock


def ask(gateway: ServedGateway, *, stream: bool) -> socket.socket:
    plug = connect(gateway)
    plug.settimeout(10)
    plug.sendall(request(PATH, chat(stream=stream)))
    return plug


def leave(plug: socket.socket) -> float:
    """When it left, in monotonic seconds."""
    plug.close()
    return time.monotonic()


async def read_until(plug: socket.socket, wanted: bytes) -> None:
    seen = b""
    while wanted not in seen:
        seen += await asyncio.to_thread(plug.recv, 1 << 16)


async def all_is_given_back(gateway: ServedGateway, mock: MockVLLM) -> None:
    await eventually(lambda: metric(gateway, "gw_inflight") == 0)
    assert metric(gateway, "gw_queue_depth") == 0
    mock.script(Behaviour(text="hello"))
    assert (await post(gateway)).status_code == 200, "the slot is free"


async def post(gateway: ServedGateway) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(gateway.url + PATH, json=chat(stream=False))


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
async def test_the_upstream_is_closed_at_once_and_the_slot_is_free(
    one: tuple[ServedGateway, MockVLLM], phase: Phase
) -> None:
    gateway, mock = one
    mock.script(phase.behaviour)
    late: list[float] = []
    for number in range(1, TIMES + 1):
        plug = ask(gateway, stream=phase.stream)
        await mock.arrived(number)
        if phase.reads:
            await read_until(plug, phase.reads)
        elif phase.behaviour.stall_after is not None:
            await eventually(lambda: last(mock).chunks_sent >= (phase.behaviour.stall_after or 0))
        left = leave(plug)
        await mock.settled(number)
        received = last(mock)
        assert received.outcome == "client_left"
        assert received.ended is not None
        late.append(received.ended - left)
    assert statistics.median(late) < PROMPT, late
    assert max(late) < PATIENT, late
    await all_is_given_back(gateway, mock)
    assert metric(gateway, "gw_requests_total", outcome="cancelled") == TIMES


def last(mock: MockVLLM) -> Received:
    return mock.requests(PATH)[-1]


async def test_a_client_that_leaves_the_queue_never_reaches_a_replica(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(before_headers="hang"))
    running = ask(gateway, stream=True)
    await mock.arrived()
    for _ in range(TIMES):
        queued = ask(gateway, stream=True)
        await eventually(lambda: metric(gateway, "gw_queue_depth") == 1)
        left = leave(queued)
        gone = await eventually(lambda: metric(gateway, "gw_queue_depth") == 0)
        # Seen through a page of metrics, which takes its own time.
        assert gone - left < PATIENT
    assert len(mock.requests(PATH)) == 1
    leave(running)
    await mock.settled()
    await all_is_given_back(gateway, mock)


async def test_a_client_that_leaves_during_a_back_off_is_not_tried_again(
    one: tuple[ServedGateway, MockVLLM],
) -> None:
    gateway, mock = one
    mock.script(Behaviour(status=503))
    plug = ask(gateway, stream=True)
    await mock.settled()
    await eventually(lambda: attempts(gateway) == 1)  # now it waits, for 20 s
    left = leave(plug)
    gone = await eventually(lambda: metric(gateway, "gw_inflight") == 0)
    assert gone - left < PATIENT
    assert len(mock.requests(PATH)) == 1


def attempts(gateway: ServedGateway) -> float:
    return metric(gateway, "gw_upstream_attempts_total")


async def test_a_client_that_leaves_while_we_are_connecting_ends_that_too() -> None:
    with ExitStack() as stack:
        port = unreachable(stack)
        fillers = connecting(port)
        settings = Settings(timeouts={"connect_s": 30})  # type: ignore[arg-type]
        fleet = fleet_on([f"http://127.0.0.1:{port}/v1"])
        gateway = stack.enter_context(ServedGateway(fleet, settings))
        plug = ask(gateway, stream=True)
        await eventually(lambda: connecting(port) == fillers + 1)
        left = leave(plug)
        gone = await eventually(lambda: connecting(port) == fillers)
        assert gone - left < PATIENT
        await eventually(lambda: metric(gateway, "gw_inflight") == 0)
        assert metric(gateway, "gw_requests_total", outcome="cancelled") == 1


def unreachable(stack: ExitStack) -> int:
    """A port where connections are neither taken nor refused: its queue is full."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    where: Any = listener.getsockname()
    for _ in range(4):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(where)
    return int(where[1])


def connecting(port: int) -> int:
    """Connections to the port that nobody has answered: state 2, SYN_SENT."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows)
