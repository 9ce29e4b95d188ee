"""Runs a policy's code within a time, so that whatever it does wrong has one name: PolicyFailed."""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

from gateway.domain.counters import CountersUnavailable
from gateway.domain.errors import Refusal
from gateway.domain.policy import Link, PolicyFailed

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def contained(link: Link, moment: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts) -> T:
    """What the moment returns, or its Refusal; PolicyFailed for anything else that it raises and
    for passing the link's time. One that blocks the thread (`time.sleep`, a long search) halts all
    calls until it lets go: it has failed then, whatever it says."""
    began = time.monotonic()
    try:
        result = await _within(link, moment(*args))
        if time.monotonic() - began > link.budget_s:
            raise _late(link)
        return result
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
    try:
        waiting = moment.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    limit = asyncio.timeout(link.budget_s)
    try:
        async with limit:
            return await _resumed(moment, waiting)
    except TimeoutError:
        if not limit.expired():
            raise
        raise _late(link) from None


def _late(link: Link) -> PolicyFailed:
    return PolicyFailed(detail=f"policy {link.name}: not done after {link.budget_s:g} s")


@types.coroutine
def _resumed(moment: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Goes on with a coroutine that has been started by hand and is `waiting` for something."""
    while True:
        try:
            try:
                value = yield waiting
            except BaseException as error:  # a cancellation is first of all the moment's to see
                waiting = moment.throw(error)
            else:
                waiting = moment.send(value)
        except StopIteration as done:
            result: T = done.value
            return result


def _place(error: BaseException) -> str:
    """The kind of an exception and where it arose. Never its text: that may quote the call."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename.rpartition("/")[2]
        place = f" at {name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return type(error).__name__ + place
