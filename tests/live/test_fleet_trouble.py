"""Trouble of a whole fleet: replicas that die, freeze, flap, come back; and what it costs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from gateway.bootstrap import Gateway
from gateway.settings import Settings
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway, fleet_on

pytestmark = pytest.mark.live

MESSAGES = [{"role": "user", "content": "hi"}]
TEXT = " ".join(f"w{n}" for n in range(12))
FINE = Behaviour(text=TEXT)
# Default budget and cooldowns; only the waiting is shorter.
USUAL: dict[str, Any] = {"retries": {"backoff_s": (0.01,)}, "health": {"probe": False}}


class Crowd:
    """A gateway on mocks, and many clients."""

    def __init__(self, served: ServedGateway, mocks: list[MockVLLM], gateway: Gateway) -> None:
        self.url = served.url
        self.mocks = mocks
        self.gateway = gateway

    async def ask(self, http: httpx.AsyncClient, *, stream: bool) -> httpx.Response:
        body = {"model": "m", "messages": MESSAGES, "stream": stream}
        return await http.post("/v1/chat/completions", json=body)

    async def all(self, count: int, *, stream: bool, at_once: int) -> list[httpx.Response]:
        """`count` answers, so many of them `at_once`."""
        gate = asyncio.Semaphore(at_once)
        limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)

        async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits) as http:

            async def one() -> httpx.Response:
                async with gate:
                    return await self.ask(http, stream=stream)

            return await asyncio.gather(*[one() for _ in range(count)])

    def received(self) -> int:
        return sum(len(mock.requests("/v1/chat/completions")) for mock in self.mocks if mock.alive)

    async def idle(self) -> None:
        """Every slot and all load is given back."""
        async with asyncio.timeout(10):
            while self._busy():  # noqa: ASYNC110 - what is waited for sets no event
                await asyncio.sleep(0.005)

    def _busy(self) -> bool:
        loads = self.gateway.router._inflight.values()
        return any(loads) or bool(self.gateway.admission.running("m"))


@pytest.fixture
def crowd(
    mock_vllm_factory: MockFleet, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Crowd]]:
    made: list[Gateway] = []

    class Kept(Gateway):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self)

    monkeypatch.setattr("gateway.web.server.Gateway", Kept)
    with ExitStack() as stack:

        def start(replicas: int, router: dict[str, Any] | None = None, **given: Any) -> Crowd:
            mocks = [mock_vllm_factory(model="m") for _ in range(replicas)]
            for mock in mocks:
                mock.script(FINE)
            fleet = fleet_on([mock.base_url for mock in mocks], router_settings=router)
            served = stack.enter_context(ServedGateway(fleet, Settings(**{**USUAL, **given})))
            return Crowd(served, mocks, made[-1])

        yield start


def whole(answer: httpx.Response) -> bool:
    if answer.headers["content-type"].startswith("application/json"):
        return answer.status_code == 200 and TEXT in answer.text
    return answer.text.endswith("data: [DONE]\n\n") and "event: error" not in answer.text


# ---- What retries may cost -----------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("cooldowns", [True, False])
async def test_when_all_replicas_fail_there_is_one_retry_for_ten_requests_at_most(
    crowd: Callable[..., Crowd], stream: bool, cooldowns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine more than a second may pass between two failures of a replica.
    monkeypatch.setattr("gateway.domain.standing.DOUBT_SECONDS", 60.0)
    fleet = crowd(
        3,
        {} if cooldowns else {"disable_cooldowns": True},
        retries={"floor": 0, "backoff_s": (0.01,)},
    )
    for mock in fleet.mocks:
        mock.script(Behaviour(status=503))
    answers = await fleet.all(200, stream=stream, at_once=20)
    assert {answer.status_code for answer in answers} == {503}
    assert 200 <= fleet.received() <= 220
    await fleet.idle()


async def test_a_small_fleet_in_trouble_still_has_its_three_retries(
    crowd: Callable[..., Crowd],
) -> None:
    fleet = crowd(1)
    fleet.mocks[0].script(*[Behaviour(status=503)] * 3, FINE)
    (answer,) = await fleet.all(1, stream=False, at_once=1)
    assert whole(answer)
    assert answer.headers["x-gateway-attempts"] == "4"


@pytest.mark.parametrize("stream", [False, True])
async def test_when_one_of_three_dies_under_200_calls_no_answer_is_lost(
    crowd: Callable[..., Crowd], stream: bool
) -> None:
    fleet = crowd(3)
    for mock in fleet.mocks:
        mock.script(Behaviour(text=TEXT, delay_between=0.05))
    going = asyncio.create_task(fleet.all(240, stream=stream, at_once=200))
    await fleet.mocks[0].arrived(20, within=30)
    fleet.mocks[0].kill()
    answers = await going
    assert Counter(whole(answer) for answer in answers) == {True: 240}
    await fleet.idle()


# ---- One that is frozen --------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_frozen_replica_is_found_out_and_its_calls_do_not_wait_out_their_time(
    crowd: Callable[..., Crowd], stream: bool
) -> None:
    """Connections open and nobody answers; nothing but the probes can tell it from a slow one."""
    health = {"interval_s": 0.1, "timeout_s": 0.5, "unhealthy_after": 2}
    times = {"total_s": 300, "first_token_s": 300, "idle_s": 300}
    fleet = crowd(2, health=health, timeouts=times)
    fleet.mocks[0].freeze()
    loop = asyncio.get_running_loop()
    began = loop.time()
    answers = await fleet.all(20, stream=stream, at_once=20)
    assert all(map(whole, answers))
    assert loop.time() - began < 60, "far less than the time that a call has"
    moved = [answer.headers["x-gateway-attempts"] for answer in answers]
    assert "2" in moved, "some had asked it"
    answers = await fleet.all(10, stream=stream, at_once=10)
    assert {answer.headers["x-gateway-replica"] for answer in answers} == {"r1"}
    await fleet.idle()
    fleet.mocks[0].thaw()


async def test_a_stream_of_a_replica_that_freezes_goes_on_elsewhere(
    crowd: Callable[..., Crowd],
) -> None:
    health = {"interval_s": 0.1, "timeout_s": 0.5, "unhealthy_after": 2}
    fleet = crowd(2, health=health, timeouts={"idle_s": 300})
    for mock in fleet.mocks:
        mock.script(Behaviour(tokens=30, delay_between=0.05))
    async with httpx.AsyncClient(base_url=fleet.url, timeout=60) as http:
        body = {"model": "m", "messages": MESSAGES, "stream": True}
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            pieces = answer.aiter_text()
            text = await anext(pieces)
            frozen = fleet.mocks[int(answer.headers["x-gateway-replica"][1:])]
            frozen.freeze()
            async for piece in pieces:
                text += piece
    frozen.thaw()
    assert text.endswith("data: [DONE]\n\n")
    assert "event: error" not in text
    assert all(f'"t{n}"' in text or f'" t{n}"' in text for n in range(30))
    await fleet.idle()


# ---- Gone and back -------------------------------------------------------------------------------


async def test_when_all_are_down_the_client_is_told_at_once_and_served_when_they_are_back(
    crowd: Callable[..., Crowd],
) -> None:
    fleet = crowd(2, {"cooldown_time": 1}, retries={"limit": 0})
    for mock in fleet.mocks:
        mock.refuse()
    answers = await fleet.all(20, stream=True, at_once=5)
    assert {answer.status_code for answer in answers} == {503}
    for mock in fleet.mocks:
        mock.accept()
    answers = await fleet.all(20, stream=True, at_once=5)
    assert all(map(whole, answers)), "whoever cools down is tried where nobody else is left"


async def test_a_restart_of_the_only_replica_is_waited_for(crowd: Callable[..., Crowd]) -> None:
    fleet = crowd(1, retries={"backoff_s": (1.0, 2.0, 3.0)})
    fleet.mocks[0].kill()
    going = asyncio.create_task(fleet.all(1, stream=True, at_once=1))
    await asyncio.to_thread(fleet.mocks[0].restart)
    fleet.mocks[0].script(FINE)
    (answer,) = await going
    assert answer.status_code == 200
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_of_two_that_flap_in_turns_one_always_answers(crowd: Callable[..., Crowd]) -> None:
    fleet = crowd(2, retries={"backoff_s": (0.01,), "floor": 1000})
    for turn in range(20):
        down, up = fleet.mocks[turn % 2], fleet.mocks[1 - turn % 2]
        up.accept()
        down.refuse()
        answers = await fleet.all(4, stream=turn % 4 < 2, at_once=2)
        assert all(map(whole, answers)), turn


@pytest.mark.parametrize("strategy", ["least-busy", "prefix_affinity"])
async def test_one_of_three_that_is_ten_times_slower_gets_less_and_loses_nothing(
    crowd: Callable[..., Crowd], strategy: str
) -> None:
    fleet = crowd(3, {"routing_strategy": strategy})
    for mock, pause in zip(fleet.mocks, (0.1, 0.01, 0.01), strict=True):
        mock.script(Behaviour(text=TEXT, delay_between=pause))
    answers = await fleet.all(120, stream=True, at_once=12)
    assert all(map(whole, answers))
    slow, *others = [len(mock.requests("/v1/chat/completions")) for mock in fleet.mocks]
    if strategy == "least-busy":
        assert slow < min(others)
