"""Runs a policy's code within a time, so that whatever it does wrong has one name: PolicyFailed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from gateway.domain.counters import CountersUnavailable
from gateway.domain.errors import Refusal
from gateway.domain.policy import Link, PolicyFailed
from gateway.patience import patience

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def contained(link: Link, moment: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts) -> T:
    """What the moment returns, or its Refusal; PolicyFailed for anything else that it raises and
    for passing the link's time, which does not count how late the event loop is. One that blocks
    the thread (`time.sleep`, a long search) halts all calls until it lets go: it has failed then,
    whatever it says."""
    try:
        return await _within(link, moment(*args))
    except (Refusal, PolicyFailed):
        raise
    except CountersUnavailable as error:
        raise PolicyFailed(
            error.public,
            detail=f"policy {link.name}: {error.detail or 'the counters do not answer'}",
            code=error.code,
            retry_after=error.retry_after,
        ) from None
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody wants this call to end: the policy let a cancellation of its own escape.
        raise PolicyFailed(detail=f"policy {link.name}: {_place(error)}") from None
    except Exception as error:  # the edge: a policy is not our code
        raise PolicyFailed(detail=f"policy {link.name}: {_place(error)}") from None


async def _within(link: Link, moment: Coroutine[Any, Any, T]) -> T:
    # Most moments never wait for anything, and a timer costs more than all of their work.
    began = time.monotonic()
    try:
        waiting = moment.send(None)
    except StopIteration as done:
        result: T = done.value
        if time.monotonic() - began > link.budget_s:
            raise _late(link) from None
        return result
    resumed = _Resumed(moment, waiting, time.monotonic() - began)
    try:
        async with patience(link.budget_s) as limit:
            result = await resumed
    except TimeoutError:
        if not limit.expired():
            raise
        raise _late(link) from None
    if resumed.own_seconds > link.budget_s:
        raise _late(link)
    return result


def _late(link: Link) -> PolicyFailed:
    return PolicyFailed(detail=f"policy {link.name}: not done after {link.budget_s:g} s")


class _Resumed(Awaitable[T]):
    """Goes on with a coroutine that has been started by hand and is `waiting` for something.
    `own_seconds` is how long it kept the thread to itself, so far."""

    def __init__(self, moment: Coroutine[Any, Any, T], waiting: Any, own_seconds: float) -> None:
        self._moment = moment
        self._waiting = waiting
        self.own_seconds = own_seconds

    def __await__(self) -> Generator[Any, Any, T]:
        waiting, clock = self._waiting, time.monotonic
        while True:
            began = None  # while others have the thread
            try:
                try:
                    value = yield waiting
                except BaseException as error:  # a cancellation is first of all the moment's to see
                    began = clock()
                    waiting = self._moment.throw(error)
                else:
                    began = clock()
                    waiting = self._moment.send(value)
            except StopIteration as done:
                result: T = done.value
                return result
            finally:
                if began is not None:
                    self.own_seconds += clock() - began


def _place(error: BaseException) -> str:
    """The kind of an exception and where it arose. Never its text: that may quote the call."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
        place = f" at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + place
