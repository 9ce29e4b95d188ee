"""What several processes say is joined as one, and rates are of those that both looks know."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain.live import (
    MOST_CALLS,
    Live,
    LiveCall,
    LiveCount,
    LiveQueue,
    LiveTeam,
    LiveWorker,
    joined,
    no_count,
    rates,
    summed,
)


def count(requests: int = 0, tokens: int = 0, failed: int = 0) -> LiveCount:
    return {**no_count(), "requests": requests, "completion_tokens": tokens, "failed": failed}


def worker(pid: int, uptime: float = 10.0, **teams: LiveCount) -> LiveWorker:
    return LiveWorker(pid=pid, uptime=uptime, counts=summed(teams.values()), teams=teams)


def replica(state: str = "healthy", in_flight: int = 0, **more: Any) -> dict[str, Any]:
    row = {"id": "r0", "model": "m", "state": state, "why": f"{state}!", "in_flight": in_flight}
    return {**row, "waiting": None, "kv": None, **more}


def call(name: str, seconds: float) -> LiveCall:
    return LiveCall(
        id=name,
        team="ide",
        model="m",
        route="/v1/chat/completions",
        stream=True,
        priority="normal",
        phase="answering",
        replica="r0",
        seconds=seconds,
        tokens=None,
        attempts=1,
    )


def live(*workers: LiveWorker, **parts: Any) -> Live:
    nothing = Live(
        at=1.0,
        version="1",
        workers=list(workers),
        silent=0,
        replicas=[],
        queues=[],
        phases={},
        slowest=[],
        teams=[],
    )
    return {**nothing, **parts}  # type: ignore[typeddict-item]


def test_a_replica_is_in_the_state_that_the_worst_informed_process_sees() -> None:
    one = live(replicas=[replica(in_flight=2, kv=0.5)])
    other = live(replicas=[replica("cooling", in_flight=1, waiting=3.0)])
    (row,) = joined(one, [other], 0)["replicas"]
    assert (row["state"], row["why"], row["in_flight"]) == ("cooling", "cooling!", 3)
    assert row["states"] == {"healthy": 1, "cooling": 1}
    assert (row["kv"], row["waiting"]) == (0.5, 3.0)


def test_queues_phases_and_teams_are_summed() -> None:
    one = live(
        queues=[LiveQueue(model="m", running=1, slots=4, waiting=2)],
        phases={"queued": 2},
        teams=[LiveTeam(team="ide", running=3, queued=2)],
    )
    other = live(
        queues=[
            LiveQueue(model="m", running=2, slots=4, waiting=0),
            LiveQueue(model="n", running=1, slots=None, waiting=0),
        ],
        phases={"queued": 1, "answering": 1},
        teams=[LiveTeam(team="ide", running=1, queued=0), LiveTeam(team="b", running=1, queued=0)],
    )
    both = joined(one, [other], 1)
    assert both["queues"] == [
        {"model": "m", "running": 3, "slots": 8, "waiting": 2},
        {"model": "n", "running": 1, "slots": None, "waiting": 0},
    ]
    assert both["phases"] == {"queued": 3, "answering": 1}
    assert both["teams"][0] == {"team": "ide", "running": 4, "queued": 2}
    assert both["silent"] == 1
    unbounded = live(queues=[LiveQueue(model="m", running=0, slots=None, waiting=0)])
    assert joined(one, [unbounded], 0)["queues"][0]["slots"] is None


def test_the_oldest_calls_of_all_are_told_and_no_more_than_that() -> None:
    one = live(slowest=[call(f"a{number}", 100.0 - number) for number in range(MOST_CALLS)])
    other = live(slowest=[call("oldest", 1000.0), call("youngest", 0.1)])
    slowest = [each["id"] for each in joined(one, [other], 0)["slowest"]]
    assert slowest[:2] == ["oldest", "a0"]
    assert len(slowest) == MOST_CALLS
    assert "youngest" not in slowest


def test_workers_stay_apart_so_that_rates_can_be_told() -> None:
    both = joined(live(worker(2, ide=count(5))), [live(worker(1, ide=count(7)))], 0)
    assert [each["pid"] for each in both["workers"]] == [1, 2]


def test_rates_are_what_came_in_between_in_all_and_by_team() -> None:
    before = live(worker(1, 10.0, ide=count(10, tokens=100)))
    after = live(worker(1, 12.0, ide=count(14, tokens=300, failed=1), web=count(2)))
    total, by_team = rates(before, after, 2.0)
    assert (total["requests"], total["completion_tokens"], total["failed"]) == (3.0, 100.0, 0.5)
    assert (by_team["ide"]["requests"], by_team["web"]["requests"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    "after",
    [
        live(worker(1, 12.0, ide=count(10)), worker(2, 1.0, ide=count(5000))),
        live(worker(1, 2.0, ide=count(5000))),
        live(),
    ],
    ids=["another has come", "the same id, started again", "it is gone"],
)
def test_a_worker_that_came_or_went_makes_no_rate(after: Live) -> None:
    total, _ = rates(live(worker(1, 10.0, ide=count(10))), after, 1.0)
    assert total["requests"] == 0


def test_tokens_of_a_stream_that_ended_without_its_usage_make_no_negative_rate() -> None:
    before = live(worker(1, 10.0, ide=count(1, tokens=50)))
    total, by_team = rates(before, live(worker(1, 11.0, ide=count(2, tokens=10))), 1.0)
    assert (total["requests"], total["completion_tokens"]) == (1.0, 0.0)
    assert by_team["ide"]["completion_tokens"] == 0.0
