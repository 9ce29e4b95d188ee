"""Idempotency-Key: a request sent twice is answered once, and told again what was said."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.domain.call import Caller, Reply
from gateway.domain.errors import InvalidRequest
from gateway.web.relay import Opening

HEADER = "idempotency-key"
MOST_CHARS = 255
KEPT_S = 24 * 3600.0
MOST_ENTRIES = 256
"""Answers kept for each team."""

MOST_BYTES = 8 * 2**20
"""Bytes of answers kept for each team."""

MOST_TEAMS = 1000


class BadIdempotencyKey(InvalidRequest):
    """A header that is empty or too long."""

    code = "invalid_idempotency_key"


class KeyReused(InvalidRequest):
    """The same key came with another request."""

    status = 422
    code = "idempotency_key_reused"
    default_public = "This Idempotency-Key came with another request before; make one for each."


class StillRunning(InvalidRequest):
    """The first request with this key is not answered yet."""

    status = 409
    code = "idempotency_key_in_use"
    default_public = "A request with this Idempotency-Key is still running; try again soon."


@dataclass(slots=True)
class _Entry:
    """`answer` is None while the request runs."""

    fingerprint: bytes
    since: float
    answer: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Shelf:
    """What one team has asked, oldest first, and the bytes of its answers."""

    entries: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    size: int = 0


class Ticket:
    """One request with a key. `replay` is the answer that was given before; without one, `keep` the
    answer, or `drop` the key where there is none: a request that failed may be sent again."""

    def __init__(self, memory: Idempotency, team: str, key: str, entry: _Entry) -> None:
        self._memory = memory
        self._place = (team, key)
        self._entry = entry
        self.replay = entry.answer

    def keep(self, answer: bytes) -> None:
        """The request was answered."""
        self._memory.keep(*self._place, self._entry, answer)

    def drop(self) -> None:
        """The request was not answered; nothing happens if it was."""
        if self._entry.answer is None:
            self._memory.forget(*self._place, self._entry)


class Idempotency:
    """Answers by team and key, for a day, in this process alone, within the bounds above.

    A key is its caller's own: others in the team cannot read an answer by guessing it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._teams: OrderedDict[str, _Shelf] = OrderedDict()

    def ticket(self, caller: Caller, header: str, route: str, body: bytes) -> Ticket:
        """BadIdempotencyKey (400), StillRunning (409), KeyReused (422)."""
        if not 0 < len(header) <= MOST_CHARS:
            raise BadIdempotencyKey(
                f"Idempotency-Key must have 1 to {MOST_CHARS} characters; a UUID is good.",
                param="Idempotency-Key",
            )
        key = f"{caller.key_id}\0{header}"
        fingerprint = hashlib.sha256(route.encode() + b"\0" + body).digest()
        shelf = self._shelf(caller.team)
        entry = shelf.entries.get(key)
        if entry is None:
            entry = shelf.entries[key] = _Entry(fingerprint, self._clock())
            self._bound(shelf)
        elif entry.fingerprint != fingerprint:
            raise KeyReused(param="Idempotency-Key")
        elif entry.answer is None:
            raise StillRunning(param="Idempotency-Key", retry_after=1.0)
        return Ticket(self, caller.team, key, entry)

    def keep(self, team: str, key: str, entry: _Entry, answer: bytes) -> None:
        """The answer of `entry`, unless it is larger than all that a team may keep."""
        shelf = self._teams.get(team)
        if shelf is None or shelf.entries.get(key) is not entry:
            return
        if len(answer) > MOST_BYTES:
            self.forget(team, key, entry)
            return
        entry.answer = answer
        shelf.size += len(answer)
        self._bound(shelf)

    def forget(self, team: str, key: str, entry: _Entry) -> None:
        """Nothing of `entry` is known any longer."""
        shelf = self._teams.get(team)
        if shelf is not None and shelf.entries.get(key) is entry:
            self._remove(shelf, key)

    def _shelf(self, team: str) -> _Shelf:
        shelf = self._teams.setdefault(team, _Shelf())
        self._teams.move_to_end(team)
        if len(self._teams) > MOST_TEAMS:
            self._teams.popitem(last=False)
        old = self._clock() - KEPT_S
        for key in [key for key, entry in shelf.entries.items() if entry.since < old]:
            self._remove(shelf, key)
        return shelf

    def _bound(self, shelf: _Shelf) -> None:
        """The oldest answers go first; a request that still runs keeps its key."""
        for key in [key for key, entry in shelf.entries.items() if entry.answer is not None]:
            if len(shelf.entries) <= MOST_ENTRIES and shelf.size <= MOST_BYTES:
                return
            self._remove(shelf, key)

    @staticmethod
    def _remove(shelf: _Shelf, key: str) -> None:
        shelf.size -= len(shelf.entries.pop(key).answer or b"")


@asynccontextmanager
async def once(ticket: Ticket, opening: Opening, *, stream: bool) -> AsyncIterator[Reply]:
    """The reply that was given before, byte for byte and at attempt 0; else that of `opening`,
    which is kept once it has been read to its end."""
    if ticket.replay is not None:
        yield Reply(_again(ticket.replay), stream, replica="")
        return
    try:
        async with opening() as reply:
            reply.chunks = _kept(reply.chunks, ticket)
            yield reply
    finally:
        ticket.drop()


async def _again(answer: bytes) -> AsyncIterator[bytes]:
    yield answer


async def _kept(chunks: AsyncIterator[bytes], ticket: Ticket) -> AsyncIterator[bytes]:
    said = []
    async for chunk in chunks:
        said.append(chunk)
        yield chunk
    ticket.keep(b"".join(said))
