"""Who waits for a slot of one model, and whose turn is next: Line, Lane, Waiting.

Higher priorities go first, though never for ever. Within one priority, teams take turns in
proportion to their weights: start-time fair queueing, in which each team's next call carries a
tag in virtual time and the lowest tag goes first. Pure bookkeeping: nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.domain.call import Call
from gateway.domain.errors import GatewayError
from gateway.domain.limits import Priority

_RANKS = {priority: rank for rank, priority in enumerate(Priority)}


@dataclass(slots=True, eq=False)
class Waiting:
    """A call in line. `turn` becomes None for a slot, or the error that the call is refused with;
    `number` counts arrivals."""

    call: Call
    turn: asyncio.Future[GatewayError | None]
    number: int = 0


@dataclass(slots=True, eq=False)
class _Share:
    """One team's calls in a lane, oldest first, and the tag of the first of them."""

    weight: float
    tag: float
    calls: dict[Waiting, None] = field(default_factory=dict)

    @property
    def crowding(self) -> float:
        """How much of the lane is this team's, by its weight."""
        return len(self.calls) / self.weight

    @property
    def oldest(self) -> Waiting:
        return next(iter(self.calls))

    @property
    def newest(self) -> Waiting:
        return next(reversed(self.calls))


class Lane:
    """The calls of one priority. `weights` by team, 1 where none is named."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = weights
        self._shares: dict[str, _Share] = {}
        self._now = 0.0
        self._count = 0

    def adopt(self, weights: Mapping[str, float]) -> None:
        """These weights from the next turn on."""
        self._weights = weights
        for team, share in self._shares.items():
            share.weight = weights.get(team, 1.0)

    def __len__(self) -> int:
        return self._count

    def add(self, call: Waiting) -> None:
        """At the end of its team's calls. A team gains nothing from not having asked before."""
        team = call.call.caller.team
        share = self._shares.get(team)
        if share is None:
            share = self._shares[team] = _Share(self._weights.get(team, 1.0), self._now)
        if not share.calls:
            share.tag = max(share.tag, self._now)
        share.calls[call] = None
        self._count += 1

    def remove(self, call: Waiting) -> bool:
        """Whether it was there. Its team pays nothing for a turn that it did not take."""
        share = self._shares.get(call.call.caller.team)
        if share is None or call not in share.calls:
            return False
        del share.calls[call]
        self._count -= 1
        return True

    def take(self) -> Waiting:
        """The next call, out of the lane, which must not be empty."""
        share = min(self._busy(), key=lambda one: (one.tag, one.oldest.number))
        call = share.oldest
        self.remove(call)
        self._now = share.tag
        share.tag += 1.0 / share.weight
        # A tag that has passed tells nothing any more, so what is kept of teams is bounded.
        gone = [t for t, one in self._shares.items() if not one.calls and one.tag <= self._now]
        for team in gone:
            del self._shares[team]
        return call

    def newest_of_largest(self) -> Waiting:
        """The last call of the team that crowds the lane, which must not be empty."""
        return self._largest().newest

    def pushed_out_by(self, team: str) -> Waiting | None:
        """Which call a further one of `team` may push out of a full lane: the last of a team that
        would still have the larger share; None when no team has."""
        if not self._count:
            return None
        own, largest = self._shares.get(team), self._largest()
        ahead = (len(own.calls) if own else 0) + 1
        if largest.crowding > ahead / self._weights.get(team, 1.0):
            return largest.newest
        return None

    def _busy(self) -> list[_Share]:
        return [share for share in self._shares.values() if share.calls]

    def _largest(self) -> _Share:
        return max(self._busy(), key=lambda share: (share.crowding, share.newest.number))


class Line:
    """All who wait for one model. `changed` hears of each call that comes (1) or goes (-1)."""

    def __init__(
        self,
        weights: Mapping[str, float],
        relief: int,
        changed: Callable[[Priority, int], None],
    ) -> None:
        self._relief = relief
        self._changed = changed
        self._lanes = tuple(Lane(weights) for _ in Priority)
        # Turns in a row that went to somebody else while this priority waited behind them.
        self._passed = [0] * len(self._lanes)
        self._arrivals = 0

    def adopt(self, weights: Mapping[str, float], relief: int) -> None:
        """These weights, and this relief, from now on."""
        self._relief = relief
        for lane in self._lanes:
            lane.adopt(weights)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def ahead(self, priority: Priority) -> int:
        """Calls that a newcomer of this priority would find before it."""
        return sum(map(len, self._lanes[: _RANKS[priority] + 1]))

    def add(self, call: Waiting) -> None:
        """A call begins to wait."""
        self._arrivals += 1
        call.number = self._arrivals
        self._lanes[_RANKS[call.call.priority]].add(call)
        self._changed(call.call.priority, 1)

    def remove(self, call: Waiting) -> None:
        """A call gives up, or is sent away; nothing if it is not here any more."""
        if self._lanes[_RANKS[call.call.priority]].remove(call):
            self._left(call)

    def take(self) -> Waiting:
        """Whose turn it is, out of the line, which must not be empty."""
        waiting = [rank for rank, lane in enumerate(self._lanes) if len(lane)]
        overdue = (rank for rank in waiting[1:] if self._passed[rank] >= self._relief - 1)
        chosen = next(overdue, waiting[0])
        for rank in waiting:
            if rank > chosen:
                self._passed[rank] += 1
        self._passed[chosen] = 0
        call = self._lanes[chosen].take()
        self._left(call)
        return call

    def victim(self, call: Call) -> Waiting | None:
        """Who must go, where the line is full, so that `call` can come in: the last of the lowest
        priority below its own; else, of its own, the last of a team that crowds it out. None: the
        newcomer itself."""
        rank = _RANKS[call.priority]
        for lane in reversed(self._lanes[rank + 1 :]):
            if len(lane):
                return lane.newest_of_largest()
        return self._lanes[rank].pushed_out_by(call.caller.team)

    def _left(self, call: Waiting) -> None:
        rank = _RANKS[call.call.priority]
        if not len(self._lanes[rank]):
            self._passed[rank] = 0
        self._changed(call.call.priority, -1)
