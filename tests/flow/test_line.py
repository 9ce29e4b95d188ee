"""Whose turn it is: priorities, fair shares of teams, relief of the low, who must go when full."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping

import pytest

from gateway.domain.call import Caller
from gateway.domain.limits import Priority
from gateway.flow.line import Line, Waiting
from gateway.testing.fakes import a_call

INTERACTIVE, NORMAL, BATCH = Priority


class Queue:
    """A Line, and calls to put into it."""

    def __init__(self, weights: Mapping[str, float] | None = None, relief: int = 10) -> None:
        self.depth: Counter[Priority] = Counter()
        self.line = Line(weights or {}, relief, self._changed)

    def _changed(self, priority: Priority, change: int) -> None:
        self.depth[priority] += change

    def call(self, team: str = "a", priority: Priority = NORMAL) -> Waiting:
        call = a_call()
        call.caller, call.priority = Caller(team), priority
        return Waiting(call, asyncio.get_running_loop().create_future())

    def join(self, team: str = "a", priority: Priority = NORMAL) -> Waiting:
        waiting = self.call(team, priority)
        self.line.add(waiting)
        return waiting

    def teams(self, turns: int) -> str:
        return "".join(self.line.take().call.caller.team for _ in range(turns))

    def priorities(self, turns: int) -> str:
        return "".join(self.line.take().call.priority[0] for _ in range(turns))


async def test_within_a_team_and_priority_the_first_to_come_is_the_first_to_go() -> None:
    queue = Queue()
    calls = [queue.join() for _ in range(5)]
    assert [queue.line.take() for _ in calls] == calls


async def test_a_higher_priority_goes_first() -> None:
    queue = Queue()
    for priority in (BATCH, NORMAL, INTERACTIVE, BATCH, INTERACTIVE):
        queue.join(priority=priority)
    assert queue.priorities(5) == "iinbb"


async def test_the_team_that_sends_much_does_not_delay_the_team_that_sends_little() -> None:
    queue = Queue()
    for _ in range(6):
        queue.join("a")
    for _ in range(3):
        queue.join("b")
    assert queue.teams(9) == "abababaaa"


async def test_teams_get_turns_in_proportion_to_their_weights() -> None:
    queue = Queue({"a": 3, "c": 0.5})
    for team in "abc" * 60:
        queue.join(team)
    turns = Counter(queue.teams(45))
    assert turns["a"] == pytest.approx(30, abs=1)
    assert turns["b"] == pytest.approx(10, abs=1)
    assert turns["c"] == pytest.approx(5, abs=1)


async def test_a_team_that_was_away_does_not_get_its_turns_after_the_fact() -> None:
    queue = Queue()
    for _ in range(40):
        queue.join("a")
    assert queue.teams(20) == "a" * 20
    for _ in range(20):
        queue.join("b")
    assert Counter(queue.teams(10)) == {"a": 5, "b": 5}


async def test_a_team_that_comes_with_one_call_at_a_time_gets_no_more_than_its_share() -> None:
    queue = Queue()
    for _ in range(20):
        queue.join("a")
    turns = ""
    for _ in range(10):
        queue.join("b")
        turns += queue.teams(2)
    assert abs(turns.count("a") - turns.count("b")) <= 1


async def test_calls_that_leave_the_line_cost_their_team_no_turn() -> None:
    queue = Queue()
    leaving = [queue.join("a") for _ in range(10)]
    queue.join("a")
    queue.join("b")
    for call in leaving:
        queue.line.remove(call)
    assert queue.teams(2) == "ab"


async def test_removing_what_is_not_there_does_nothing() -> None:
    queue = Queue()
    call = queue.join()
    queue.line.remove(call)
    queue.line.remove(call)
    queue.line.remove(queue.call("never here"))
    assert (len(queue.line), +queue.depth) == (0, {})


async def test_of_every_ten_turns_one_goes_to_a_lower_priority_that_waits() -> None:
    queue = Queue(relief=10)
    for _ in range(40):
        queue.join(priority=INTERACTIVE)
    for _ in range(4):
        queue.join(priority=BATCH)
    assert queue.priorities(20) == ("i" * 9 + "b") * 2


async def test_every_priority_makes_progress_while_the_highest_never_ends() -> None:
    queue = Queue(relief=4)
    for priority in Priority:
        for _ in range(100):
            queue.join(priority=priority)
    turns = queue.priorities(60)
    assert min(turns.count("n"), turns.count("b")) >= 10
    assert turns.count("i") >= 24


async def test_waiting_alone_earns_a_low_priority_nothing_once_its_line_was_empty() -> None:
    queue = Queue(relief=3)
    low = queue.join(priority=BATCH)
    for _ in range(2):
        queue.join(priority=INTERACTIVE)
    assert queue.priorities(2) == "ii"
    queue.line.remove(low)
    queue.join(priority=BATCH)
    for _ in range(3):
        queue.join(priority=INTERACTIVE)
    assert queue.priorities(3) == "iib"


async def test_in_a_full_line_the_newest_of_the_lowest_priority_must_go() -> None:
    queue = Queue()
    queue.join(priority=BATCH)
    newest = queue.join(priority=BATCH)
    queue.join(priority=NORMAL)
    newcomer = queue.call(priority=INTERACTIVE).call
    assert queue.line.victim(newcomer) is newest


async def test_a_newcomer_pushes_out_nobody_of_its_own_or_a_higher_priority() -> None:
    queue = Queue()
    queue.join(priority=NORMAL)
    queue.join(priority=INTERACTIVE)
    assert queue.line.victim(queue.call(priority=NORMAL).call) is None
    assert queue.line.victim(queue.call(priority=BATCH).call) is None


async def test_one_team_cannot_keep_the_others_out_of_a_full_line() -> None:
    queue = Queue()
    calls = [queue.join("greedy") for _ in range(4)]
    for expected in (calls[3], calls[2]):
        newcomer = queue.call("modest")
        assert queue.line.victim(newcomer.call) is expected
        queue.line.remove(expected)
        queue.line.add(newcomer)
    # Two each: now nobody has more than a newcomer would have.
    assert queue.line.victim(queue.call("modest").call) is None
    assert queue.line.victim(queue.call("greedy").call) is None


async def test_a_heavier_team_may_fill_more_of_the_line() -> None:
    queue = Queue({"heavy": 3})
    for _ in range(3):
        queue.join("heavy")
    assert queue.line.victim(queue.call("light").call) is None


async def test_the_depth_of_each_priority_is_told_and_comes_back_to_nothing() -> None:
    queue = Queue()
    for priority in (BATCH, BATCH, NORMAL):
        queue.join(priority=priority)
    assert queue.depth == {BATCH: 2, NORMAL: 1}
    assert [queue.line.ahead(one) for one in Priority] == [0, 1, 3]
    queue.priorities(3)
    assert +queue.depth == {}


async def test_teams_that_have_gone_are_forgotten() -> None:
    queue = Queue()
    for number in range(100):
        queue.join(f"team-{number}")
    queue.priorities(100)
    for _ in range(3):
        queue.join("last")
        queue.line.take()
    lane = queue.line._lanes[1]
    assert len(lane._shares) <= 1
