"""The audit log: Event, what somebody did; a chain of hashes that shows every later change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain import secret_scan
from gateway.domain.redaction import redact

# The `prev` of the first row of all.
START = "0" * 64
PURGE = "audit.purge"
_MOST_FACTS = 8192
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True)
class Event:
    """Somebody (`actor`: a key's id, "cli:USER", "gateway") did something (`action`: "key.revoke")
    with `target`. `facts` is canonical JSON: names, numbers, reasons, never content of a call.
    `uid` is ours; `at` in epoch seconds."""

    uid: str
    at: float
    actor: str
    action: str
    target: str
    facts: str = "{}"


class AuditLog(Protocol):
    """Where events are kept for good."""

    def put(self, actor: str, action: str, target: str, facts: Mapping[str, Any]) -> None:
        """Enter an event. When it returns, the event survives the death of this process, where the
        log has a folder; it is chained soon. Never waits, never raises."""


class MemoryAudit:
    """Events of this process alone, unchained. Satisfies AuditLog."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, Mapping[str, Any]]] = []

    def put(self, actor: str, action: str, target: str, facts: Mapping[str, Any]) -> None:
        """Keep it, and forget the oldest of very many."""
        self.events.append((actor, action, target, dict(facts)))
        del self.events[:-10_000]


@dataclass(frozen=True, slots=True)
class Row:
    """An event at its place in the chain, the first at 1."""

    seq: int
    event: Event
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of a chain at some time. Whoever keeps its text outside of the database can
    tell later whether any row up to it was changed or cut off."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def read(cls, text: str) -> Head:
        """From its text. ValueError where it is none."""
        seq, _, digest = text.strip().partition(":")
        if not seq.isdecimal() or len(digest) != len(START) or not digest.isalnum():
            raise ValueError("a head is NUMBER:HASH, as `gateway audit verify` prints it")
        return cls(int(seq), digest)


def event_of(uid: str, at: float, who: tuple[str, str, str], facts: Mapping[str, Any]) -> Event:
    """An event by `who` (actor, action, target): one line each, of bounded length, and without
    anything that looks like a secret."""
    actor, action, target = (_word(text) for text in who)
    return Event(uid, float(at), actor, action, target, canonical(facts))


def _word(text: str) -> str:
    # Names of keys and models may look like one a little; only what surely is one goes.
    cut = (
        secret_scan.clean(text[: 2 * _MOST_CHARS])
        .text[:_MOST_CHARS]
        .encode(errors="replace")
        .decode()
    )
    return "".join(char if char.isprintable() else " " for char in cut)


def canonical(facts: Mapping[str, Any]) -> str:
    """`facts` as JSON, always the same for the same facts; cut off with a note where too long."""
    text = json.dumps(redact(dict(facts)), sort_keys=True, separators=(",", ":"), default=str)
    if len(text) > _MOST_FACTS:
        text = json.dumps({"cut": text[: _MOST_FACTS // 2]}, separators=(",", ":"))
    return text


def digest(prev: str, seq: int, event: Event) -> str:
    """The hash of a row: SHA-256 over the one before and everything in it, in hex."""
    said = [prev, seq, event.uid, event.at, event.actor, event.action, event.target, event.facts]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def chained(head: Head | None, event: Event) -> Row:
    """The row that comes after `head` (None: the first)."""
    seq, prev = (head.seq + 1, head.hash) if head is not None else (1, START)
    return Row(seq, event, prev, digest(prev, seq, event))


@dataclass(slots=True)
class Check:
    """Goes along a chain, the oldest row first. `broken` says what is wrong with the first row that
    is, "" so far; `head` is the last row that is right."""

    expected: Head | None = None
    head: Head | None = None
    rows: int = 0
    broken: str = ""
    _first_prev: Head | None = None
    _explained: bool = False
    _seen_expected: bool = False

    def take(self, rows: Iterable[Row]) -> None:
        """The next rows; after a broken one nothing more is looked at."""
        for row in rows:
            if not self.broken:
                self._one(row)

    def _one(self, row: Row) -> None:
        if self.head is None:
            self._begin(row)
        elif row.seq != self.head.seq + 1:
            gap = f"{self.head.seq + 1} to {row.seq - 1}"
            self.broken = f"row {row.seq}: rows {gap} before it are missing"
        elif row.prev != self.head.hash:
            self.broken = f"row {row.seq}: does not follow row {self.head.seq}"
        if not self.broken and row.hash != digest(row.prev, row.seq, row.event):
            self.broken = f"row {row.seq}: was changed ({row.event.action} by {row.event.actor})"
        if self.broken:
            return
        self.head, self.rows = Head(row.seq, row.hash), self.rows + 1
        self._explain(row.event)
        if self.expected is not None and row.seq == self.expected.seq:
            self._seen_expected = True
            if row.hash != self.expected.hash:
                self.broken = f"row {row.seq}: is another one than the head that was kept"

    def _begin(self, row: Row) -> None:
        if row.seq == 1:
            if row.prev != START:
                self.broken = "row 1: does not begin the chain"
            return
        self._first_prev = Head(row.seq - 1, row.prev)

    def _explain(self, event: Event) -> None:
        """A purge tells the last row that it took: what is left then begins after it."""
        if self._first_prev is None or event.action != PURGE:
            return
        facts = json.loads(event.facts)
        told = Head(int(facts.get("through", 0)), str(facts.get("hash", "")))
        self._explained = self._explained or told == self._first_prev

    def end(self) -> str:
        """What is wrong with the whole; "" where nothing is."""
        if self.broken:
            return self.broken
        if self._first_prev is not None and not self._explained:
            first = self._first_prev.seq
            self.broken = f"row {first + 1}: rows 1 to {first} are missing, and no purge took them"
        elif self.expected is not None and not self._seen_expected:
            self.broken = self._cut_off(self.expected)
        return self.broken

    def _cut_off(self, expected: Head) -> str:
        last = self.head.seq if self.head is not None else 0
        if expected.seq > last:
            return f"rows {last + 1} to {expected.seq} are cut off: the head that was kept had them"
        return f"row {expected.seq}: the head that was kept is not there; it was purged, or removed"
