"""Who is in the rooms now, and how many have gone through them: Floor. Looked at, it says where
each call stands; until then it costs a call two entries in a dictionary and a few additions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Literal

from gateway.domain.call import Outcome, OutcomeKind, Usage
from gateway.domain.label_values import LabelValues
from gateway.domain.live import MOST_CALLS, LiveCall, LiveCount, LiveTeam, no_count, summed
from gateway.domain.record import Note
from gateway.domain.redaction import redact_text
from gateway.flow.meter import Meter

_TEAMS = 50
_NAME_CHARS = 256
_COUNTED: dict[OutcomeKind, Literal["refused", "cancelled", "failed"]] = {
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.CANCELLED: "cancelled",
    OutcomeKind.FAILED: "failed",
    OutcomeKind.TIMEOUT: "failed",
    OutcomeKind.TRUNCATED: "failed",
}
# What the newest note of these kinds says of a call whose answer has not begun.
_PHASES = {
    "queued": "queued",
    "slot": "choosing",
    "fallback": "choosing",
    "choice": "asked",
    "hedge": "asked",
    "attempt": "retrying",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the floor: counts in all and by team since the start, running streams included;
    calls by phase and team; the oldest of them."""

    counts: LiveCount
    by_team: dict[str, LiveCount]
    phases: dict[str, int]
    teams: list[LiveTeam]
    slowest: list[LiveCall]


class Floor:
    """One for each process, kept across reloads. `clock` is the one that stamped
    `call.received`; by it the floor was `opened`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.opened = clock()
        # In the order of their arrival.
        self._inside: dict[int, Meter] = {}
        self._teams: dict[str, LiveCount] = {}
        self._names = LabelValues(_TEAMS)

    def enter(self, meter: Meter) -> None:
        """A call comes in."""
        self._inside[id(meter)] = meter

    def leave(self, meter: Meter, outcome: Outcome) -> None:
        """It is settled. A second time, or one that never came in, does nothing."""
        if self._inside.pop(id(meter), None) is None or meter.call.rehearsal:
            return
        team = self._names.label(meter.call.caller.team)
        count = self._teams.get(team)
        if count is None:
            count = self._teams[team] = no_count()
        count["requests"] += 1
        if (how := _COUNTED.get(outcome.kind)) is not None:
            count[how] += 1
        _add(count, outcome.usage)

    def find(self, request_id: str, team: str | None = None) -> list[Meter]:
        """Calls of that id that run, the newest first; of any team where that is None."""
        found = [one for one in self._inside.values() if one.call.id == request_id]
        return [one for one in reversed(found) if team in (None, one.call.caller.team)]

    def seen(self) -> Seen:
        """As it is now. A few microseconds for each call that runs."""
        by_team = {team: count.copy() for team, count in self._teams.items()}
        phases, running, queued = Counter[str](), Counter[str](), Counter[str]()
        slowest: list[LiveCall] = []
        for meter in self._inside.values():
            phase, team = phase_of(meter), self._names.label(meter.call.caller.team)
            phases[phase] += 1
            running[team] += 1
            queued[team] += phase == "queued"
            used = _used(meter)
            if (count := by_team.get(team)) is None:
                count = by_team[team] = no_count()
            _add(count, used)
            if len(slowest) < MOST_CALLS:
                slowest.append(self._row(meter, phase, used))
        teams = [LiveTeam(team=t, running=running[t], queued=queued[t]) for t in by_team]
        return Seen(summed(by_team.values()), by_team, dict(phases), teams, slowest)

    def _row(self, meter: Meter, phase: str, used: Usage | None) -> LiveCall:
        call = meter.call
        return LiveCall(
            id=call.id,
            team=call.caller.team,
            # A client may have put anything there, even text that is no Unicode.
            model=redact_text(call.model[:_NAME_CHARS]).encode(errors="replace").decode(),
            route=call.route,
            stream=call.stream,
            priority=str(call.priority),
            phase=phase,
            replica=replica_of(meter),
            seconds=round(self._clock() - call.received, 3),
            tokens=used.completion if used is not None else None,
            attempts=len(meter.attempts) + (phase in ("asked", "answering", "handing_over")),
        )


def phase_of(meter: Meter) -> str:
    """Where the call stands: checking (its key, policies, prompt), queued, choosing (a replica),
    asked (one that has not begun to answer), retrying (it failed, another is to come), answering,
    handing_over (to another replica, its stream broke), ending."""
    if meter.ending:
        return "ending"
    reply, notes = meter.reply, meter.call.record.notes if meter.call.record else []
    if reply is None:
        last = _newest(notes, _PHASES)
        return _PHASES[last.kind] if last is not None else "checking"
    if reply.complete:
        return "answering"
    began = meter.call.received + (reply.first_token_seconds or 0.0)
    last = _newest(notes, ("choice", "hand_over"))
    moving = last is not None and last.kind == "choice" and last.at > began
    return "handing_over" if moving else "answering"


def replica_of(meter: Meter) -> str:
    """The id of the replica that the call is at, or was at last; "" while none was chosen."""
    if meter.reply is not None:
        return meter.reply.replica
    last = _newest(meter.call.record.notes if meter.call.record else [], ("choice",))
    return str(last.facts.get("replica", "")) if last is not None else ""


def _newest(notes: list[Note], kinds: Container[str]) -> Note | None:
    for note in reversed(notes):
        if note.kind in kinds:
            return note
    return None


def _used(meter: Meter) -> Usage | None:
    """So far; None while nobody has told, and once the end is near: then the outcome will."""
    reply = meter.reply
    return None if reply is None else reply.usage or reply.progress()


def _add(count: LiveCount, usage: Usage | None) -> None:
    if usage is not None:
        # A replica may say anything.
        count["prompt_tokens"] += usage.prompt if usage.prompt > 0 else 0
        count["completion_tokens"] += usage.completion if usage.completion > 0 else 0
