"""Hundreds of streams through the real command, in peace, then with replicas that die: Soak."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.testing.mock_vllm import MockVLLM
from tests.live.crowd import MODEL, Answer, Crowd
from tests.live.dying import Death, die_in_turn, left, mock_replicas, running
from tests.live.footprint import Footprint, Gauges, replicas_of
from tests.served_command import ServedCommand, served_command, until

OTHER = "other"
# Upstream connections are kept for 4 s.
_IDLE_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what. All in seconds but for the numbers of `clients`, `bystanders` and
    `replicas` and the share that is `leaving`. Bystanders ask another model, whose one replica
    never dies: they share the gateway with the others, and nothing else. An answer takes 26 `pace`
    at most, which is less than three `every`: so no stream loses more replicas than it may be
    handed over."""

    clients: int = 500
    bystanders: int = 0
    replicas: int = 3
    pace: float = 0.3
    leaving: float = 0.1
    calm: float = 8.0
    storm: float = 24.0
    every: float = 3.0
    gone: float = 1.0


@dataclass(frozen=True, slots=True)
class Phase:
    """What a crowd saw, and what the gateway holds after it has gone home."""

    answers: list[Answer]
    deaths: list[Death]
    seconds: float
    before: Footprint
    after: Footprint
    clients_left: int = 0
    bystanding: list[Answer] = field(default_factory=list)

    @property
    def stayed(self) -> list[Answer]:
        """Those of clients that did not go away."""
        return [answer for answer in self.answers if not answer.left]

    @property
    def wrong(self) -> dict[int, str]:
        """By number, what is wrong with each answer that is not as if nothing had happened."""
        return {answer.number: why for answer in self.stayed if (why := answer.wrong)}

    @property
    def cpu(self) -> float:
        """The share of one processor that the gateway used."""
        return (self.after.cpu - self.before.cpu) / self.seconds

    def unaffected(self) -> list[Answer]:
        """Answers that began at their first replica, which lived until they ended."""
        return [answer for answer in self.stayed if not answer.wrong and not self._hit(answer)]

    def _hit(self, answer: Answer) -> bool:
        if answer.headers.get("x-gateway-attempts") != "1":
            return True
        replica = answer.headers.get("x-gateway-replica")
        return any(
            replica == f"r{death.replica}" and answer.began < death.back and death.at < answer.ended
            for death in self.deaths
        )


@dataclass(slots=True)
class Soak:
    """A gateway in front of mocks. Call `phase` as often as wanted."""

    gateway: ServedCommand
    mocks: Sequence[MockVLLM]
    load: Load
    crowd: Crowd = field(init=False)
    others: Crowd = field(init=False)

    def __post_init__(self) -> None:
        load = self.load
        url = self.gateway.url
        self.crowd = Crowd(url, load.clients, load.leaving, load.pace)
        self.others = Crowd(url, load.bystanders, 0.0, load.pace, OTHER)

    async def phase(
        self, seconds: float, *, deadly: bool, beside: Sequence[MockVLLM] = ()
    ) -> Phase:
        """The crowd for so many seconds (and until it has its answers), and then silence. `beside`
        are servers that nobody asks, and that die and come back meanwhile."""
        load, began = self.load, time.monotonic()
        before = Footprint.of(self.gateway.process.pid)
        deaths = list[Death]()
        async with asyncio.TaskGroup() as tasks:
            crowd = tasks.create_task(self.crowd.stream(seconds))
            others = tasks.create_task(self.others.stream(seconds))
            if beside:
                tasks.create_task(die_in_turn(beside, seconds, load.every, load.gone))
            if deadly:
                dying = die_in_turn(self.mocks, seconds, load.every, load.gone)
                deaths = await tasks.create_task(dying)
        took = time.monotonic() - began
        after = await asyncio.to_thread(self.idle)
        seen = crowd.result(), deaths, took, before, after
        return Phase(*seen, left(self.mocks), others.result())

    def idle(self) -> Footprint:
        """The gateway once nothing is left of the crowd; AssertionError when something stays."""
        until(lambda: running(self.mocks) == 0, 2.0, "left by the gateway, all replicas")
        until(lambda: Gauges(self.gateway).sum("gw_inflight") == 0, 2.0, "settled, all calls")
        assert not any(one["in_flight"] for one in replicas_of(self.gateway))
        pid = self.gateway.process.pid
        # Those of probes, and our own to /metrics, may be open.
        most = len(self.mocks) + bool(self.load.bystanders) + 1
        until(lambda: len(_connections(pid)) <= most, _IDLE_WITHIN_S, "closed, all connections")
        return Footprint.of(pid)


def _connections(pid: int) -> list[str]:
    """Sockets of a process that are connected to another: of TCP, established or half closed."""
    own = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            own.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return [row[2] for row in rows if row[3] != "0A" and f"socket:[{row[9]}]" in own]


@contextmanager
def soaking(folder: Path, load: Load) -> Iterator[Soak]:
    """A gateway in `folder`, which exists and is empty, and its replicas r0, r1 …"""
    with (
        mock_replicas(load.replicas, MODEL, load.pace) as mocks,
        mock_replicas(1 if load.bystanders else 0, OTHER, load.pace) as others,
    ):
        models = [
            {
                "model_name": MODEL,
                "litellm_params": {"model": f"hosted_vllm/{MODEL}", "api_base": mock.base_url},
                "model_info": {"id": f"r{number}"},
            }
            for number, mock in enumerate(mocks)
        ]
        models += [
            {
                "model_name": OTHER,
                "litellm_params": {"model": f"hosted_vllm/{OTHER}", "api_base": mock.base_url},
            }
            for mock in others
        ]
        # JSON is YAML.
        (folder / "litellm_config.yaml").write_text(json.dumps({"model_list": models}))
        settings = {
            # As many as there are clients: nobody waits for a slot, whoever is dead.
            "GATEWAY_QUEUE__SLOTS_PER_REPLICA": str(load.clients + load.bystanders),
            # Memory that is meant to grow would hide memory that is not.
            "GATEWAY_RECORDS__KEEP": "1000",
        }
        with served_command(folder, **settings) as gateway:
            yield Soak(gateway, mocks, load)
