"""What an attempt holds of a replica and gives back once: Lease; the answer on it: Opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.domain.call import Attempt, Call, Reply, Usage
from gateway.domain.delivered import Delivered
from gateway.domain.holds import Hold
from gateway.domain.ports import Probe, Replica, Router, WireResponse
from gateway.domain.retry import Fault

if TYPE_CHECKING:
    from gateway.flow.stream import Rescue, Stream


# One that is down and still says something was only slow to answer its probes.
LAST_SECONDS = 1.0


def _unwatched() -> None:
    """In place of what knows the lease: else the two would keep each other, and all that hangs on
    them, until the garbage collector comes, which halts every stream."""


@dataclass(slots=True)
class Lease:
    """The load that one attempt puts on a replica, given back exactly once: when it ends, or with
    all that its call holds. `limit` is the timeout of what is awaited of the replica; `hurried`:
    it has been shortened, or should have been."""

    call: Call
    replica: Replica
    router: Router
    probe: Probe
    clock: Callable[[], float]
    began: float = 0.0
    response: WireResponse | None = None
    limit: asyncio.Timeout | None = None
    hurried: bool = field(default=False, init=False)
    ended: bool = field(default=False, init=False)
    _unwatch: Callable[[], None] = field(init=False)
    _hold: Hold = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self.router.started(self.call, self.replica)
        self._unwatch = self.router.watch(self.replica, self.hurry)
        self._hold = self.call.holds.take(self._abandon)

    def hurry(self) -> None:
        """Probes say that the replica is down: what is awaited of it now has one second more."""
        self.hurried = True
        limit, soon = self.limit, asyncio.get_running_loop().time() + LAST_SECONDS
        if limit is None or (when := limit.when()) is None or when <= soon:
            return
        with suppress(RuntimeError):  # nothing is awaited at the moment
            limit.reschedule(soon)

    def end(
        self, result: str, fault: Fault | None = None, retry_after: float | None = None
    ) -> None:
        """Close the connection, or keep it if the answer was read to its end, and report."""
        if self.ended:
            return
        self.ended = True
        self._hold.give_back()
        self._unwatch()
        self._unwatch, self.limit = _unwatched, None
        try:
            if self.response is not None:
                if result == "ok":
                    self.response.release()
                else:
                    self.response.close()
        finally:
            self.router.ended(self.call, self.replica, fault, retry_after=retry_after)
            self.probe.end(self.seen(result))

    def _abandon(self) -> None:
        self.end("cancelled")

    def seen(self, result: str) -> Attempt:
        """This attempt as the record tells it."""
        status = self.response.status if self.response is not None else 0
        return Attempt(self.replica.id, result, self.clock() - self.began, status)


@dataclass(slots=True)
class Opened:
    """An answer that has begun, and the lease that it holds until it ends.

    A stream that is handed over to another replica takes that one's `lease` and `stream`; `rescue`
    is how, None where nobody would. `fault` is what broke the stream last.
    """

    reply: Reply
    lease: Lease
    fault: Fault | None = None
    stream: Stream | None = None
    rescue: Rescue | None = None
    delivered: Delivered = field(default_factory=Delivered)

    @property
    def own_usage(self) -> Usage | None:
        """What the last replica alone has used."""
        return self.stream.watch.usage if self.stream is not None else self.reply.usage

    async def end(self) -> None:
        """Settle with the replica, whatever became of the answer."""
        reply, lease = self.reply, self.lease
        if lease.ended:
            return
        if not reply.complete:
            # Whoever leaves early is no fault of the replica; a cut stream is.
            fault = self.fault
            lease.end(fault or "cancelled", None if fault is None or fault.of_client else fault)
            return
        lease.end("ok")
        seconds = lease.clock() - lease.began
        await lease.router.succeeded(lease.call, lease.replica, self.own_usage, seconds)
