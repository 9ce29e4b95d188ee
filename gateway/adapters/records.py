"""The newest decision records: what became of each call, and why. In memory, and perhaps shared."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Protocol

import orjson

from gateway.domain.call import Attempt, Call, Outcome, Usage
from gateway.domain.errors import RecordsUnavailable, Unauthorized
from gateway.domain.prices import MILLION
from gateway.domain.record import Note

# One call cannot push all others out.
_MOST_BYTES = 65_536
_NAME_CHARS = 256
MOST_TOLD = 20
# So many teams are asked for at once: the store has few connections.
_AT_ONCE = 8

_Key = tuple[str, str]


class Shared(Protocol):
    """Where all processes of the gateway put their records."""

    @property
    def available(self) -> bool: ...
    def put(self, team: str, request_id: str, text: bytes) -> None: ...
    async def find(self, team: str, request_id: str) -> list[bytes]: ...


class Records:
    """The last `keep` calls, and at most `most_bytes` of them (as JSON, without what Python adds).
    Each team finds its own only. Calls without a valid key are not kept: they could push out all
    others. Each record is handed to `shared` too."""

    def __init__(self, keep: int, most_bytes: int, shared: Shared | None = None) -> None:
        self._shared = shared
        self._keep = keep
        self._most_bytes = most_bytes
        self._bytes = 0
        self._order: deque[tuple[_Key, int]] = deque()
        # Oldest first; clients choose ids, so several calls may bear the same.
        self._found: dict[_Key, deque[bytes]] = {}

    def __len__(self) -> int:
        return len(self._order)

    def keep(self, call: Call, outcome: Outcome, trace_id: str | None = None) -> None:
        """A call that has been settled. Never raises."""
        if self._keep == 0 or outcome.code == Unauthorized.code:
            return
        text = encoded(document(call, outcome, trace_id, time.time() - outcome.seconds))
        key = (call.caller.team, call.id)
        self._found.setdefault(key, deque()).append(text)
        self._order.append((key, len(text)))
        self._bytes += len(text)
        if self._shared is not None:
            self._shared.put(*key, text)
        while len(self._order) > self._keep or self._bytes > self._most_bytes:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        key, size = self._order.popleft()
        self._bytes -= size
        texts = self._found[key]
        texts.popleft()
        if not texts:
            del self._found[key]

    def find(self, team: str, request_id: str) -> list[bytes]:
        """The newest 20 records of a team's calls with this id, each a JSON object, newest first;
        none for another team's."""
        texts = self._found.get((team, request_id), ())
        return list(texts)[::-1][:MOST_TOLD]

    def find_any(self, request_id: str) -> list[bytes]:
        """As `find`, of every team. A look at each call that is kept: for operators."""
        keys = [key for key in self._found if key[1] == request_id]
        return newest(self.find(*key) for key in keys)

    async def look(
        self, request_id: str, teams: Sequence[str], here: Sequence[bytes] = ()
    ) -> list[bytes]:
        """What `here` holds, and what these teams have in the store that all processes share.
        Where that cannot be had, `here`; RecordsUnavailable, within a second, if it is empty."""
        if self._shared is None:
            return list(here)
        found = [list(here)]
        try:
            for first in range(0, len(teams), _AT_ONCE):
                some = teams[first : first + _AT_ONCE]
                found += await asyncio.gather(*(self._shared.find(t, request_id) for t in some))
        except RecordsUnavailable:
            if not here:
                raise
        return newest(found)

    @property
    def shared(self) -> bool:
        """Whether all processes put theirs into one store."""
        return self._shared is not None

    @property
    def kept(self) -> bool:
        """Whether there are any at all."""
        return self._keep > 0

    @property
    def place(self) -> str:
        """Where records are kept, for /readyz: memory, redis or redis unavailable."""
        if self._shared is None:
            return "memory"
        return "redis" if self._shared.available else "redis unavailable"


def newest(found: Iterable[Sequence[bytes]]) -> list[bytes]:
    """The newest 20 of all of them, newest first. What was written twice, or is here and there, is
    the same to the byte."""
    every = dict.fromkeys(text for texts in found for text in texts)
    return sorted(every, key=_ended, reverse=True)[:MOST_TOLD]


def document(call: Call, outcome: Outcome, trace_id: str | None, began: float) -> dict[str, Any]:
    """The record as JSON values. `began` in Unix seconds; all other times in seconds since then.
    `cost` is in the currency of prices.currency. Nothing in it says what was asked or answered, no
    key, no address of a replica."""
    usage, record = outcome.usage, call.record
    notes = record.notes if record else []
    return {
        "request_id": call.id,
        "trace_id": trace_id,
        "began": _utc(began),
        "route": call.route,
        "team": call.caller.team,
        "key_id": call.caller.key_id,
        "model": call.model[:_NAME_CHARS],
        "stream": call.stream,
        "prompt": str(call.prompt) if call.prompt else None,
        "outcome": outcome.kind.value,
        "status": outcome.status,
        "code": outcome.code or None,
        "finish_reason": outcome.finish_reason or None,
        "replica": outcome.replica or None,
        "served_model": outcome.served_model or None,
        "seconds": _seconds(outcome.seconds),
        "queue_seconds": _seconds(outcome.queue_seconds),
        "first_token_seconds": _seconds(outcome.first_token_seconds),
        "tokens": usage and _tokens(usage),
        "cost": None if call.cost is None else call.cost / MILLION,
        "attempts": [_attempt(one) for one in outcome.attempts],
        "decisions": [_decision(note, call.received) for note in notes],
        "decisions_dropped": record.dropped if record else 0,
    }


def _tokens(usage: Usage) -> dict[str, int | bool]:
    names = ("prompt", "completion", "cached", "estimated")
    return {name: getattr(usage, name) for name in names}


def _attempt(one: Attempt) -> dict[str, Any]:
    return {"replica": one.replica, "result": str(one.result), "seconds": _seconds(one.seconds)}


def _decision(note: Note, began: float) -> dict[str, Any]:
    return {**note.facts, "at": _seconds(max(0.0, note.at - began)), "kind": note.kind}


def encoded(told: dict[str, Any]) -> bytes:
    """As JSON in one line, without its decisions where they make it too long."""
    text = _json(told)
    if len(text) > _MOST_BYTES:
        told["decisions_dropped"] += len(told["decisions"])
        text = _json(told | {"decisions": []})
    return text


def _json(told: dict[str, Any]) -> bytes:
    try:
        # Facts are plain JSON by their promise; what breaks it is named, not lost.
        return orjson.dumps(told, default=lambda value: type(value).__name__)
    except TypeError:  # lone surrogates, integers past 64 bits, keys that are no text
        return json.dumps(told, default=lambda value: type(value).__name__, skipkeys=True).encode()


def _ended(text: bytes) -> float:
    """Unix seconds at which the call of a record was over."""
    told = json.loads(text)  # not orjson: see _json
    return float(datetime.fromisoformat(told["began"]).timestamp() + told["seconds"])


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _utc(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"
