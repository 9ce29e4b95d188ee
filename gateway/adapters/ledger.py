"""The usage ledger and the audit log on their way: journal first, database soon after."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any

import orjson
from sqlalchemy import func, select

from gateway.adapters import audit_chain
from gateway.adapters.database import Database, Unstorable
from gateway.adapters.journal import Batch, Journal
from gateway.adapters.tables import usage
from gateway.domain.audit import Event, event_of
from gateway.domain.errors import DatabaseUnavailable
from gateway.domain.ledger import MOST, Entry, Spent, new_uid, total
from gateway.settings.state import State

_log = logging.getLogger("gateway.ledger")

_AGAIN_SECONDS = 1.0
_LOOK_SECONDS = 5.0
_FLUSH_SECONDS = 2.0
_SPENT_SECONDS = 2.0
_LINE = orjson.OPT_APPEND_NEWLINE
_KINDS = {"str": "", "int": 0, "float": 0.0, "bool": False}
_EMPTY = {field.name: _KINDS[str(field.type)] for field in fields(Entry)}
_NAMES, _TYPES = [*_EMPTY], [*map(type, _EMPTY.values())]
_NUMBERS = [name for name, empty in _EMPTY.items() if type(empty) is int]

# A call, by the columns of its table, or an event of the audit log.
Parsed = dict[str, Any] | Event


@dataclass(frozen=True, slots=True)
class Told:
    """Whom the ledger tells: lines that wait now, and lines that were lost, each as a change."""

    backlog: Callable[[int], None] = lambda change: None
    lost: Callable[[int], None] = lambda count: None


class DatabaseLedger:
    """Satisfies Ledger and AuditLog. What is put is on disk at once and in the database soon,
    inside `async with ledger.writing()`. Put in one thread: that of the event loop."""

    def __init__(
        self, database: Database, state: State, told: Told | None = None, now: Any = time.time
    ) -> None:
        folder = state.folder / "journal" if state.folder is not None else None
        self._database = database
        self._journal = Journal(folder, state.journal_max_bytes, state.journal_memory)
        self._flush = state.flush_s
        self._told = told or Told()
        self._now = now
        # Two processes may hold the same lines: one that was thought dead, and its heir.
        self._statement = database.text_of(database.insert(usage).on_conflict_do_nothing())
        self._draining = asyncio.Lock()
        self._seen = (0, 0)
        self._looked = 0.0

    def put(self, entry: Entry) -> None:
        """See Ledger."""
        try:
            line = orjson.dumps(entry, option=_LINE)
        except TypeError:  # JSON has no lone surrogates, and numbers of 64 bits at most
            storable = {name: _storable(getattr(entry, name), _EMPTY[name]) for name in _EMPTY}
            line = orjson.dumps(storable, option=_LINE)
        self._journal.put(line)

    def tell(self, actor: str, action: str, target: str, facts: Mapping[str, Any]) -> None:
        """Enter an event of the audit log: see AuditLog.put, and `Audit` below."""
        now = self._now()
        event = event_of(new_uid(now, secrets.token_bytes(10)), now, (actor, action, target), facts)
        self._journal.put(orjson.dumps(event, option=_LINE))

    @property
    def state(self) -> dict[str, Any]:
        """For /readyz: how many lines wait, and where; "ok", "behind" (the database is away),
        "memory" (the disk is, too) or "losing" (both are full)."""
        journal = self._journal
        word = "ok" if self._database.available else "behind"
        if journal.trouble:
            word = "losing" if journal.lost else "memory"
        return {
            "state": word,
            "waiting": len(journal),
            "in_memory": journal.in_memory,
            "bytes": journal.bytes,
            "lost": journal.lost,
        }

    async def spent(
        self,
        *,
        team: str = "",
        key_id: str = "",
        model: str = "",
        since: float,
        seconds: float = _SPENT_SECONDS,
    ) -> Spent:
        """See Ledger; within `seconds`. What waits in journals of other processes is not in it."""
        if not self._database.available:
            raise DatabaseUnavailable(detail="it was, when it was last asked")
        named = {"team": team, "key_id": key_id, "model": model}
        try:
            async with asyncio.timeout(seconds), self._draining:
                entries = await asyncio.to_thread(self._waiting)
                stored = await self._stored(named, since, seconds)
        except TimeoutError:
            raise DatabaseUnavailable(detail=f"no answer within {seconds:g} s") from None
        return stored + total(entries, **named, since=since)

    async def _stored(self, named: Mapping[str, str], since: float, seconds: float) -> Spent:
        tokens = func.sum(usage.c.prompt_tokens + usage.c.completion_tokens)
        question = select(func.count(), tokens, func.sum(usage.c.cost)).where(usage.c.at >= since)
        for name, value in named.items():
            if value:
                question = question.where(usage.c[name] == value)
        async with self._database.reading(seconds) as connection:
            found = (await connection.execute(question)).one()
        return Spent(*(int(number or 0) for number in found))

    def _waiting(self) -> list[Entry]:
        parsed = (_parsed(line) for line in self._journal.every())
        return [Entry(**one) for one in parsed if isinstance(one, dict)]

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """While this lasts, the database gets what was put, here and by processes that are gone;
        at its end it gets the rest, for at most 2 s. What is left is for the next process."""
        await self._adopt()
        task = asyncio.create_task(self._write())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with suppress(DatabaseUnavailable, TimeoutError):
                async with asyncio.timeout(_FLUSH_SECONDS):
                    while self._journal.waiting:
                        await self._drain()
            if left := len(self._journal):
                where = "journal" if not self._journal.in_memory else "memory, and are lost"
                _log.warning("%d entries of the ledger stay in the %s", left, where)
            self._journal.close()
            self._tell()

    async def _write(self) -> None:
        while True:
            try:
                await self._look()
                await self._drain()
                pause = self._flush
            except DatabaseUnavailable:
                pause = max(self._flush, _AGAIN_SECONDS)
            except Exception:
                # A marked edge: whatever a line or a driver does to us, the writing must go on.
                _log.exception("the ledger could not be written")
                pause = _AGAIN_SECONDS
            self._tell()
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        """Now and then: whether a process has died, and whether the database is there."""
        if time.monotonic() - self._looked < _LOOK_SECONDS and self._database.available:
            return
        self._looked = time.monotonic()
        await self._adopt()
        await self._database.ping()

    async def _adopt(self) -> None:
        if found := await asyncio.to_thread(self._journal.orphans):
            _log.info("%d journals of processes that are gone were taken over", len(found))
            self._journal.take(found)

    async def _drain(self) -> None:
        """All that waits now. What is put meanwhile is for the next time: a transaction costs as
        much as a hundred calls, and on a busy gateway there would be one for every few."""
        due = max(1, len(self._journal))
        while due > 0 and self._journal.waiting:
            async with self._draining:
                batch = self._journal.next()
                if batch is None:
                    continue
                await self._store(_every(batch))
                self._journal.done(batch)
            due -= len(batch.lines)
            self._tell()

    async def _store(self, parsed: Sequence[Parsed]) -> None:
        """All of them, or those that can be stored at all."""
        try:
            await self._insert(parsed)
        except Unstorable as error:
            if len(parsed) == 1:
                _log.error("an entry of the ledger can never be stored (%s): left out", error)
                self._told.lost(1)
                return
            half = len(parsed) // 2
            await self._store(parsed[:half])
            await self._store(parsed[half:])

    async def _insert(self, parsed: Sequence[Parsed]) -> None:
        entries = [tuple(one.values()) for one in parsed if isinstance(one, dict)]
        events = [one for one in parsed if isinstance(one, Event)]
        async with self._database.begin() as connection:
            if entries:
                await connection.exec_driver_sql(self._statement, entries)
            await audit_chain.append(connection, events)

    def _tell(self) -> None:
        waiting, lost = self._seen
        self._seen = (len(self._journal), self._journal.lost)
        if change := self._seen[0] - waiting:
            self._told.backlog(change)
        if change := self._seen[1] - lost:
            self._told.lost(change)


class Audit:
    """The audit log of a ledger. Satisfies AuditLog."""

    def __init__(self, ledger: DatabaseLedger) -> None:
        self.put = ledger.tell


def _every(batch: Batch) -> list[Parsed]:
    return [one for line in batch.lines if (one := _parsed(line)) is not None]


def _parsed(line: bytes) -> Parsed | None:
    """A line of a journal, also of another version: what we do not know is left out, what is
    missing is empty."""
    try:
        found = orjson.loads(line)
        if not found["uid"]:
            raise KeyError("uid")
        if "action" in found:
            return Event(**{field.name: found[field.name] for field in fields(Event)})
        if _plain(line, found):
            return {**found}
        return {name: _storable(found.get(name), empty) for name, empty in _EMPTY.items()}
    except (ValueError, KeyError, TypeError):
        _log.error("a line of a journal cannot be read: left out")
        return None


def _plain(line: bytes, found: dict[str, Any]) -> bool:
    """Whether it is what `_storable` would make of it, as most lines are: that looks at each value,
    which takes longer than all else that is done to a line."""
    return (
        [*found] == _NAMES
        and [*map(type, found.values())] == _TYPES
        and b"\\u" not in line  # a NUL or a lone surrogate can be written in no other way
        and all(-MOST <= found[name] <= MOST for name in _NUMBERS)
    )


def _storable(value: Any, empty: Any) -> Any:
    """What both databases take in place of `empty`: no NUL, no lone surrogates, no huge numbers."""
    if isinstance(value, str) and isinstance(empty, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.encode(errors="replace").decode().replace("\0", "\ufffd")
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and not isinstance(empty, str):
        return max(-MOST, min(value, MOST))
    return value if type(value) is type(empty) else empty
