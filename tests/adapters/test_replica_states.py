"""One word for each replica, told once at each change, and what a reload keeps."""

from __future__ import annotations

import logging

import pytest

from gateway.adapters.replica_states import ReplicaStates
from gateway.domain.ports import Replica
from gateway.domain.replica_load import ReplicaLoad
from gateway.domain.retry import Fault
from gateway.domain.standing import State
from gateway.testing.fakes import FakeClock, a_replica

Told = list[tuple[str, State | None, State | None]]


class Two:
    """A fleet of r0 and r1."""

    def __init__(self) -> None:
        self.resting: set[str] = set()

    def every(self) -> list[Replica]:
        return [a_replica("r0"), a_replica("r1")]

    def load_of(self, replica: Replica) -> int:
        return 4

    def wants_loads(self) -> bool:
        return False

    async def cooling(self) -> set[str]:
        return self.resting


def made() -> tuple[ReplicaStates, FakeClock, Told]:
    clock, told = FakeClock(100.0), Told()
    states = ReplicaStates(
        clock, max_age=10.0, told=lambda one, was, now: told.append((one, was, now))
    )
    return states, clock, told


async def test_a_change_is_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    states, clock, told = made()
    fleet = Two()
    with caplog.at_level(logging.INFO, "gateway.replicas"):
        await states.look(fleet)
        await states.look(fleet)
        states.of("r0").attempt_failed(clock(), Fault.TIMEOUT)
        fleet.resting = {"r0"}
        for _ in range(3):
            await states.look(fleet)
        fleet.resting = set()
        await states.look(fleet)
    assert told == [
        ("r0", None, State.HEALTHY),
        ("r1", None, State.HEALTHY),
        ("r0", State.HEALTHY, State.COOLING),
        ("r0", State.COOLING, State.HEALTHY),
    ]
    assert [record.getMessage() for record in caplog.records] == [
        "replica r0: healthy -> cooling (timeout, 0 s ago)",
        "replica r0: cooling -> healthy",
    ]


async def test_a_state_says_why_since_when_and_how_loaded() -> None:
    states, clock, _ = made()
    fleet = Two()
    await states.look(fleet)
    states.heard("r0", ReplicaLoad(3.0, 0.5, clock()))
    states.of("r0").attempt_failed(clock(), Fault.SERVER_ERROR)
    fleet.resting = {"r0"}
    await states.look(fleet)
    clock.now += 4.0
    first, second = [one.as_dict() for one in await states.look(fleet)]
    assert first == {
        "id": "r0",
        "model": "m",
        "state": "cooling",
        "why": "server_error, 4 s ago",
        "seconds": 4.0,
        "in_flight": 4,
        "waiting": 3.0,
        "kv": 0.5,
        "last_fault": "server_error",
        "last_fault_seconds": 4.0,
    }
    assert (second["state"], second["why"], second["last_fault"]) == ("healthy", "", None)


def test_an_old_load_is_unknown_and_silence_lets_it_age() -> None:
    states, clock, _ = made()
    said = ReplicaLoad(3.0, None, clock())
    states.heard("r0", said)
    clock.now += 10.0
    states.heard("r0", None)
    assert states.load("r0") == said
    clock.now += 0.1
    assert states.load("r0") is None


async def test_a_reload_keeps_what_an_operator_has_said_and_forgets_the_rest_of_those_gone() -> (
    None
):
    states, clock, told = made()
    await states.look(Two())
    states.of("r0").drain(clock(), "new card")
    states.of("r1").probe_failed(clock(), "gone", after=1)
    states.keep({"r0", "r1"})
    assert states.drained("r0")
    assert not states.in_rotation("r1")
    states.keep({"other"})
    assert ("r0", State.HEALTHY, None) in told
    states.keep({"r0", "r1"})
    assert states.drained("r0")
    assert states.in_rotation("r1")


def test_a_replica_that_nobody_has_heard_of_takes_requests() -> None:
    states, _, _ = made()
    assert states.takes("new", 99)
    assert states.in_rotation("new")
    assert not states.drained("new")


# ---- Who watches ---------------------------------------------------------------------------------


def test_whoever_watches_a_replica_hears_that_it_went_down_until_it_stops_watching() -> None:
    states, heard = ReplicaStates(FakeClock()), list[str]()
    stop = states.watch("a", lambda: heard.append("first"))
    states.watch("a", lambda: heard.append("second"))
    states.watch("b", lambda: heard.append("other"))
    states.went_down("a")
    stop()
    stop()
    states.went_down("a")
    assert sorted(heard) == ["first", "second", "second"]


def test_nothing_is_kept_of_those_who_have_stopped_watching() -> None:
    states = ReplicaStates(FakeClock())
    states.watch("a", lambda: None)()
    assert not states._watchers
    states.went_down("a")


def test_somebody_who_looks_is_remembered_for_a_while() -> None:
    states, clock, _ = made()
    assert not states.attended
    states.attend(5.0)
    assert states.attended
    clock.now += 5.0
    assert not states.attended
