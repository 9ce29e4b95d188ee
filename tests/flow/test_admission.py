"""Slots: as many as the replicas have, a queue behind them, and an honest refusal past that."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from gateway.domain.call import Call, Caller
from gateway.domain.errors import GatewayError, LLMTimeoutError, Overloaded
from gateway.domain.limits import Priority, QueueLimits
from gateway.domain.record import Record
from gateway.domain.step import Step
from gateway.flow.admission import Admission
from gateway.testing.fakes import FakeClock, a_call


def admission(slots: int, *, size: int = 8, wait: float = 30.0) -> tuple[Admission, FakeClock]:
    clock = FakeClock()
    return Admission(lambda model: slots, QueueLimits(size=size, wait=wait), clock), clock


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_run_at_once_than_there_are_slots_and_all_get_their_turn() -> None:
    room, _ = admission(2)
    running = peak = 0

    async def one() -> None:
        nonlocal running, peak
        async with room.slot(a_call()):
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(one() for _ in range(9)))
    assert peak == 2
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_the_queue_is_served_in_the_order_of_arrival() -> None:
    room, _ = admission(1)
    order: list[int] = []

    async def one(number: int) -> None:
        async with room.slot(a_call()):
            order.append(number)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_full_queue_refuses_with_a_time_to_come_back() -> None:
    room, _ = admission(1, size=0)
    async with room.slot(a_call()):
        with pytest.raises(Overloaded) as caught:
            async with room.slot(a_call()):
                pass
    assert caught.value.status == 429
    assert caught.value.retry_after is not None
    assert caught.value.retry_after >= 1


async def test_waiting_too_long_is_refused_and_leaves_the_queue_clean() -> None:
    room, _ = admission(1, wait=0.01)
    async with room.slot(a_call()):
        with pytest.raises(Overloaded):
            async with room.slot(a_call()):
                pass
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_a_client_that_leaves_the_queue_gives_its_place_up() -> None:
    room, _ = admission(1)

    async def wait_in_line() -> None:
        async with room.slot(a_call()):
            pass

    async with room.slot(a_call()):
        task = asyncio.create_task(wait_in_line())
        await settle()
        assert room.waiting("m") == 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert room.waiting("m") == 0
    assert room.running("m") == 0


async def test_a_slot_handed_to_a_client_that_is_just_leaving_is_not_lost() -> None:
    room, _ = admission(1)

    async def wait_in_line() -> None:
        async with room.slot(a_call()):
            pass

    async with AsyncExitStack() as first:
        await first.enter_async_context(room.slot(a_call()))
        task = asyncio.create_task(wait_in_line())
        await settle()
        await first.aclose()  # the slot goes to the waiting task …
        task.cancel()  # … which is cancelled before it runs
        with suppress(asyncio.CancelledError):
            await task
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_the_time_in_the_queue_is_told_to_the_call() -> None:
    room, clock = admission(1)
    call = a_call()

    async def wait_in_line() -> None:
        async with room.slot(call):
            pass

    async with room.slot(a_call()):
        task = asyncio.create_task(wait_in_line())
        await settle()
        clock.now = 2.5
    await task
    assert call.queue_seconds == 2.5
    assert call.steps == (Step("queue.wait", 0.0, 2.5, {"gw.priority": "normal"}),)


async def test_whoever_finds_a_free_slot_has_not_been_in_the_queue() -> None:
    room, _ = admission(1)
    call = a_call()
    async with room.slot(call):
        assert call.steps == ()


async def test_models_do_not_wait_for_each_other() -> None:
    room, _ = admission(1, size=0)
    async with room.slot(a_call(model="a")), room.slot(a_call(model="b")):
        assert room.running("a") == room.running("b") == 1


# ---- Priorities, teams, time ---------------------------------------------------------------------


class Crowd:
    """Calls that ask for a slot of one Admission, and what becomes of them."""

    def __init__(self, room: Admission) -> None:
        self.room = room
        self.served: list[str] = []
        self.refused: dict[str, GatewayError] = {}
        self.go_on = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def join(self, name: str, call: Call) -> asyncio.Task[None]:
        async def ask() -> None:
            try:
                async with self.room.slot(call):
                    self.served.append(name)
                    await self.go_on.wait()
            except GatewayError as error:
                self.refused[name] = error

        task = asyncio.create_task(ask())
        self.tasks.append(task)
        await settle()
        return task

    async def end(self) -> None:
        self.go_on.set()
        await asyncio.gather(*self.tasks)


def a(priority: Priority = Priority.NORMAL, team: str = "t", seconds: float = 60.0) -> Call:
    call = a_call(seconds=seconds)
    call.priority, call.caller = priority, Caller(team)
    call.record = Record(lambda: 0.0)
    return call


async def test_the_higher_priority_and_the_smaller_team_go_first() -> None:
    room, _ = admission(1)
    crowd = Crowd(room)
    await crowd.join("running", a())
    for name, call in {
        "batch": a(Priority.BATCH),
        "greedy 1": a(team="greedy"),
        "greedy 2": a(team="greedy"),
        "modest": a(team="modest"),
        "editor": a(Priority.INTERACTIVE),
    }.items():
        await crowd.join(name, call)
    await crowd.end()
    assert crowd.served == ["running", "editor", "greedy 1", "modest", "greedy 2", "batch"]


async def test_a_full_queue_sheds_the_lowest_priority_for_a_higher_one() -> None:
    shed: list[tuple[str, Priority]] = []
    room = Admission(
        lambda model: 1,
        QueueLimits(size=2),
        FakeClock(),
        on_shed=lambda model, priority: shed.append((model, priority)),
    )
    crowd = Crowd(room)
    pushed = a(Priority.BATCH)
    await crowd.join("running", a())
    await crowd.join("older", a(Priority.BATCH))
    await crowd.join("newer", pushed)
    await crowd.join("editor", a(Priority.INTERACTIVE))
    await crowd.join("too late", a(Priority.BATCH))
    assert room.waiting("m") == 2
    await crowd.end()
    assert crowd.served == ["running", "editor", "older"]
    assert {name: error.code for name, error in crowd.refused.items()} == {
        "newer": "queue_shed",
        "too late": "queue_full",
    }
    assert all(error.retry_after for error in crowd.refused.values())
    assert shed == [("m", Priority.BATCH)] * 2
    assert pushed.record is not None
    assert [note.kind for note in pushed.record.notes] == ["queued", "refused"]
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_a_call_whose_own_time_is_up_in_the_queue_is_a_timeout() -> None:
    room, _ = admission(1)
    async with room.slot(a()):
        with pytest.raises(LLMTimeoutError) as caught:
            async with room.slot(a(seconds=0.01)):
                pass
    assert caught.value.retry_after is not None
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_a_call_with_no_time_left_is_refused_at_once() -> None:
    room, _ = admission(1)
    async with room.slot(a()):
        with pytest.raises(LLMTimeoutError):
            async with asyncio.timeout(1), room.slot(a(seconds=-5.0)):
                pass
    assert (room.running("m"), room.waiting("m")) == (0, 0)


async def test_two_names_of_one_model_share_its_slots() -> None:
    clock = FakeClock()
    room = Admission(lambda model: 1, QueueLimits(), clock, group=lambda model: "group")
    crowd = Crowd(room)
    async with room.slot(a_call(model="alias")):
        assert room.running("group") == room.running("alias") == 1
        await crowd.join("by the other name", a())
        assert room.waiting("alias") == 1
    await crowd.end()
    assert crowd.served == ["by the other name"]


async def test_more_capacity_wakes_those_who_wait() -> None:
    slots = 1
    room = Admission(lambda model: slots, QueueLimits(), FakeClock())
    crowd = Crowd(room)
    for name in ("first", "second", "third"):
        await crowd.join(name, a())
    assert crowd.served == ["first"]
    slots = 3
    room.refresh()
    await settle()
    assert crowd.served == ["first", "second", "third"]
    await crowd.end()


async def test_more_capacity_is_noticed_though_nobody_says_so() -> None:
    slots = 1
    room = Admission(lambda model: slots, QueueLimits(), FakeClock())
    crowd = Crowd(room)
    await crowd.join("first", a())
    await crowd.join("second", a())
    slots = 2
    async with asyncio.timeout(5):
        while "second" not in crowd.served:  # noqa: ASYNC110 - nothing tells but the list
            await asyncio.sleep(0.01)
    await crowd.end()


async def test_less_capacity_lets_those_go_on_who_run_and_holds_back_the_rest() -> None:
    slots = 2
    room = Admission(lambda model: slots, QueueLimits(), FakeClock())
    crowd = Crowd(room)
    async with room.slot(a()):
        async with room.slot(a()):
            slots = 1
            await crowd.join("waiting", a())
        await settle()
        assert crowd.served == [], "one runs, and there is one slot"
    await settle()
    assert crowd.served == ["waiting"]
    await crowd.end()


async def test_a_model_without_replicas_lets_nobody_wait() -> None:
    crowd = Crowd(Admission(lambda model: 0, QueueLimits(), FakeClock()))
    for name in ("one", "two", "three"):
        await crowd.join(name, a())
    assert crowd.served == ["one", "two", "three"], "the engine knows what to say"
    await crowd.end()


async def test_who_waits_for_a_model_that_is_taken_away_still_waits_for_a_turn() -> None:
    slots = 1
    room = Admission(lambda model: slots, QueueLimits(), FakeClock())
    crowd = Crowd(room)
    running = await crowd.join("running", a())
    await crowd.join("waiting", a())
    await crowd.join("waiting too", a())
    slots = 0
    room.refresh()
    await settle()
    assert crowd.served == ["running"]
    running.cancel()
    await settle()
    assert crowd.served == ["running", "waiting"]
    crowd.tasks.remove(running)
    await crowd.end()


async def test_retry_after_follows_the_rate_at_which_slots_come_free() -> None:
    room, clock = admission(1, size=4)
    crowd = Crowd(room)
    running = [await crowd.join(str(number), a()) for number in range(5)]
    for number in range(4):
        clock.now += 5.0  # one slot every five seconds
        running[number].cancel()
        await settle()
        await crowd.join(f"next {number}", a())
    await crowd.join("too many", a())
    # Four wait before it, and it would be the fifth.
    assert crowd.refused["too many"].retry_after == pytest.approx(25.0)
    crowd.go_on.set()
    await asyncio.gather(*crowd.tasks, return_exceptions=True)


async def test_the_depth_of_the_queue_is_told_by_model_and_priority() -> None:
    told: list[tuple[str, str, int]] = []
    room = Admission(
        lambda model: 1,
        QueueLimits(),
        FakeClock(),
        on_depth=lambda model, priority, change: told.append((model, str(priority), change)),
    )
    crowd = Crowd(room)
    await crowd.join("running", a())
    leaving = await crowd.join("leaving", a(Priority.BATCH))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert told == [("m", "batch", 1), ("m", "batch", -1)]
    crowd.tasks.remove(leaving)
    await crowd.end()


async def test_limits_that_change_hold_for_those_who_wait_already() -> None:
    room, _ = admission(1)
    crowd = Crowd(room)
    await crowd.join("running", a())
    for number in range(4):
        await crowd.join(f"light {number}", a(team="light"))
        await crowd.join(f"heavy {number}", a(team="heavy"))
    room.adopt(QueueLimits(size=2, weights={"heavy": 3.0}))
    await crowd.join("no place any more", a(team="light"))
    assert room.waiting("m") == 8
    await crowd.end()
    assert [name.split()[0] for name in crowd.served[1:6]].count("heavy") >= 3
    assert list(crowd.refused) == ["no place any more"]


async def test_each_queue_can_be_looked_at() -> None:
    room, _ = admission(1)
    assert room.queues() == []
    async with room.slot(a_call()):
        waiting = asyncio.create_task(_hold(room))
        await settle()
        assert room.queues() == [{"model": "m", "running": 1, "slots": 1, "waiting": 1}]
    await waiting
    unbounded, _ = admission(0)
    async with unbounded.slot(a_call()):
        assert unbounded.queues()[0]["slots"] is None


async def _hold(room: Admission) -> None:
    async with room.slot(a_call()):
        pass
