"""The usage ledger: Entry, what one settled call has used; Ledger, where entries are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.call import Call, Outcome, Usage
from gateway.domain.prices import Prices
from gateway.domain.redaction import redact_text

# Clients choose some of the words; none of them may fill the database.
MOST_CHARS = 200
# What JSON, Python and both databases agree on; no call uses as much.
MOST = 1 << 53


@dataclass(frozen=True, slots=True)
class Entry:
    """One settled call. `uid` is ours, unlike `call_id`; `at` is when it came in, epoch seconds;
    `prompt` is "name@version+sha" or ""; `cost` in micro-units. `counted` is False where nobody
    told how many tokens there were."""

    uid: str
    call_id: str
    at: float
    team: str
    key_id: str
    user: str
    model: str
    served_model: str
    replica: str
    route: str
    prompt: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost: int
    counted: bool
    outcome: str
    code: str
    status: int
    seconds: float
    stream: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Spent:
    """A sum of entries; `tokens` of prompts and completions, `cost` in micro-units."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.requests + other.requests, self.tokens + other.tokens, self.cost + other.cost
        )


def new_uid(now: float, chance: bytes) -> str:
    """A name that no other entry has, on any machine, in hex: `now` (epoch seconds), so that they
    sort by time, and ten bytes of `chance`."""
    return f"{int(now * 1000):012x}{chance.hex()}"


class Ledger(Protocol):
    """Where every settled call is entered, once."""

    def put(self, entry: Entry) -> None:
        """Enter a call. When it returns, the entry survives the death of this process, where the
        ledger has a folder. Never waits, never raises."""

    async def spent(
        self, *, team: str = "", key_id: str = "", model: str = "", since: float
    ) -> Spent:
        """The sum of all entries that came in at `since` (epoch seconds) or later, of all that is
        named; "" is any. DatabaseUnavailable where nobody can tell."""
        ...


class MemoryLedger:
    """The newest `most` calls, in this process alone. Satisfies Ledger."""

    def __init__(self, most: int = 10_000) -> None:
        self.entries: deque[Entry] = deque(maxlen=most)

    def put(self, entry: Entry) -> None:
        """Keep it, and perhaps forget the oldest."""
        self.entries.append(entry)

    async def spent(
        self, *, team: str = "", key_id: str = "", model: str = "", since: float
    ) -> Spent:
        """The sum of those that are kept."""
        return total(self.entries, team=team, key_id=key_id, model=model, since=since)


def total(
    entries: Iterable[Entry], *, team: str = "", key_id: str = "", model: str = "", since: float
) -> Spent:
    """The sum of those among `entries` that match all that is named."""
    found = [
        one
        for one in entries
        if one.at >= since
        and (not team or one.team == team)
        and (not key_id or one.key_id == key_id)
        and (not model or one.model == model)
    ]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in found)
    return Spent(len(found), tokens, sum(one.cost for one in found))


_NOTHING = Usage()


def entry_of(
    call: Call, outcome: Outcome, when: tuple[str, float], prices: Prices, attempts: int
) -> Entry:
    """What `call` leaves in the ledger; `when` is its uid and its time. Words that
    clients or replicas choose are cut short, and counts that nobody can mean held in bounds."""
    usage, caller = outcome.usage or _NOTHING, call.caller
    # One that a replica has is configured; any other may be a key in the wrong place.
    model = call.model if outcome.replica else redact_text(call.model[:MOST_CHARS])
    return Entry(
        when[0],
        call.id[:MOST_CHARS],
        when[1],
        caller.team,
        caller.key_id,
        str(getattr(caller, "user", ""))[:MOST_CHARS],
        model[:MOST_CHARS],
        outcome.served_model[:MOST_CHARS],
        outcome.replica[:MOST_CHARS],
        call.route,
        call.prompt.text if call.prompt is not None else "",
        _bounded(usage.prompt),
        _bounded(usage.completion),
        _bounded(usage.cached),
        _bounded(prices.charge(call, outcome, usage)),
        outcome.counted is not None,
        outcome.kind.value,
        outcome.code,
        outcome.status,
        outcome.seconds,
        call.stream,
        attempts,
    )


def _bounded(number: int) -> int:
    return number if 0 <= number < MOST else min(max(0, number), MOST)
