"""What each call leaves in the usage ledger: one entry, before the last of its answer leaves."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from gateway.domain.call import Call, Outcome
from gateway.domain.errors import Unauthorized
from gateway.domain.ledger import Ledger, MemoryLedger, entry_of, new_uid
from gateway.domain.prices import Prices
from gateway.flow.floor import Floor
from gateway.flow.meter import Meter


@dataclass(frozen=True, slots=True)
class Books:
    """`clock` gives monotonic seconds, `now` epoch seconds. `on_cost` hears of each
    entry's call and its cost in micro-units. `floor` knows the calls that run."""

    clock: Callable[[], float]
    ledger: Ledger = field(default_factory=MemoryLedger)
    prices: Prices = field(default_factory=Prices)
    now: Callable[[], float] = time.time
    on_cost: Callable[[Call, int], None] = lambda call, cost: None
    floor: Floor = field(default_factory=lambda: Floor(time.monotonic))

    def enter(self, meter: Meter, outcome: Outcome, attempts: int | None = None) -> None:
        """The call of `meter`, unless it has been entered; `attempts` where one is still to be
        added to the outcome's. Left out are calls whose caller nobody
        knows, who could fill the ledger, and rehearsals, which use nothing."""
        if meter.entered or meter.call.rehearsal or outcome.code == Unauthorized.code:
            return
        meter.entered = True
        now = self.now()
        made = len(outcome.attempts) if attempts is None else attempts
        when = (new_uid(now, secrets.token_bytes(10)), now - outcome.seconds)
        entry = entry_of(meter.call, outcome, when, self.prices, made)
        self.ledger.put(entry)
        meter.call.cost = None if outcome.usage is None else entry.cost
        self.on_cost(meter.call, entry.cost)

    def watch(self, meter: Meter, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks of the reply of `meter`. What comes once it is complete comes out of here
        after the entry has been made: whoever has seen the end of an answer finds it there."""
        return _Watched(self, meter, chunks)


class _Watched:
    """No generator: one that is left halfway would be closed in a task of its own. It knows the
    reply by the meter alone, which lets go of it: no cycle is left to the garbage collector."""

    __slots__ = ("_books", "_meter", "_next")

    def __init__(self, books: Books, meter: Meter, chunks: AsyncIterator[bytes]) -> None:
        self._books = books
        self._meter = meter
        self._next = chunks.__anext__

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self._next()
        meter = self._meter
        if not meter.entered and meter.reply is not None and meter.reply.complete:
            self._books.enter(meter, meter.outcome(), len(meter.attempts) + 1)
        return chunk
