"""Ten thousand clients torn away by chance, in every phase: nothing stays behind."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress

from gateway.domain.call import Call, Caller, OutcomeKind
from gateway.domain.errors import GatewayError
from gateway.domain.limits import Priority, QueueLimits
from gateway.domain.ports import Replica
from gateway.testing.fakes import (
    FakeAnswer,
    FakeRouter,
    FakeWire,
    a_call,
    a_replica,
    chunk,
    failing,
    plain,
    streamed,
)
from tests.flow.house import House, forever, turns

ABORTS = 10_000
WAVE = 500
PHASES = ("choosing", "connecting", "first token", "streaming", "plain", "backing off", "well")


class Stuck(FakeWire):
    """Each call stays for ever in the phase that its body names; what is well has an answer."""

    def __init__(self, reached: Counter[str]) -> None:
        super().__init__()
        self._reached = reached

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> FakeAnswer:
        text = (body or b"").decode()
        phase = next(phase for phase in PHASES if f'"user":"{phase}"' in text)
        self._reached[phase] += 1
        if phase == "connecting":
            await asyncio.Event().wait()
        answer = self._answer(phase, stream='"stream":true' in text)
        await asyncio.sleep(0)
        self.given.append(answer)
        return answer

    def _answer(self, phase: str, *, stream: bool) -> FakeAnswer:
        if phase == "backing off":
            return failing(503)
        if phase == "well":
            return streamed("he", "llo") if stream else plain("hello")
        if phase == "streaming" and stream:
            return FakeAnswer(steps=(chunk("he"), chunk("llo"), forever))
        return FakeAnswer(steps=(forever,))


class Hesitant(FakeRouter):
    """Never decides on a call that is to stay in this phase."""

    def __init__(self, reached: Counter[str]) -> None:
        super().__init__(a_replica("r0"), a_replica("r1"))
        self._reached = reached

    async def pick(self, call: Call, model: str, tried: Collection[str]) -> Replica | None:
        if call.body["user"] == "choosing":
            self._reached["choosing"] += 1
            await asyncio.Event().wait()
        return await super().pick(call, model, tried)


def some_call(chance: random.Random) -> Call:
    phase = chance.choice(PHASES)
    call = a_call(stream=phase in ("first token", "streaming") or chance.random() < 0.5)
    call.body["user"] = phase
    call.priority = chance.choice(list(Priority))
    call.caller = Caller(f"team-{chance.randrange(5)}")
    return call


async def client(house: House, call: Call, patience: int) -> bool:
    """Asks, reads if there is anything to read, and is torn away after some turns of the loop;
    False where it had its answer, or a refusal, by then."""

    async def ask() -> None:
        with suppress(GatewayError):
            async with house.pipeline.answer(call) as reply:
                async for _ in reply.chunks:
                    pass

    task = asyncio.create_task(ask())
    await turns(patience)
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


async def storm(house: House, chance: random.Random) -> int:
    """How many waited in the queue at most, until so many clients had been torn away."""
    aborts = queued = 0
    while aborts < ABORTS:
        clients = [
            asyncio.create_task(client(house, some_call(chance), chance.randrange(36)))
            for _ in range(WAVE)
        ]
        await turns(5)
        queued = max(queued, house.admission.waiting("m"))
        async with asyncio.timeout(30):
            aborts += sum(await asyncio.gather(*clients))
        assert (house.admission.running("m"), house.admission.waiting("m")) == (0, 0)
    return queued


async def test_after_ten_thousand_aborts_in_all_phases_nothing_is_held() -> None:
    reached = Counter[str]()
    house = House(
        router=Hesitant(reached),
        wire=Stuck(reached),
        queue=QueueLimits(slots=40, size=200, weights={"team-0": 3.0}),
    )
    queued = await storm(house, random.Random(20))
    await turns(20)

    assert house.idle()
    assert not any(house.router.load.values())
    assert all(len(probe.ended) == 1 for probe in house.telemetry.probes)
    ended = [id(call) for call, _ in house.telemetry.ends]
    assert sorted(ended) == sorted(map(id, house.telemetry.calls)), "each settled, and once"
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is left behind"
    # It was a real storm: it reached every phase, filled the queue, and some came through it.
    assert set(reached) == set(PHASES)
    assert min(reached.values()) > 100, reached
    assert queued > 100
    kinds = Counter(outcome.kind for outcome in house.telemetry.outcomes)
    assert kinds[OutcomeKind.CANCELLED] > ABORTS / 2, kinds
    assert kinds[OutcomeKind.COMPLETED] > 0
