"""Whether a replica is in rotation, apart from LiteLLM's cooldowns: State, Standing, Regard. No
clock of its own: times are monotonic seconds, passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.domain.retry import Fault

# A fleet in trouble says so again and again; one failure so many seconds ago says little.
DOUBT_SECONDS = 1.0
_TRIAL = "answers probes again: one request at a time until one succeeds"


class State(StrEnum):
    """The words of /readyz, of metrics and of the log."""

    HEALTHY = "healthy"
    COOLING = "cooling"
    UNHEALTHY = "unhealthy"
    HALF_OPEN = "half_open"
    DRAINED = "drained"

    @property
    def up(self) -> bool:
        """Whether requests go there, even if one at a time."""
        return self in (State.HEALTHY, State.HALF_OPEN)


class Regard(StrEnum):
    """What may be asked of one certain replica now."""

    TRUSTED = "trusted"
    """Nothing speaks against it."""
    DOUBTED = "doubted"
    """It has failed lately, and answered nothing since."""
    OUT = "out"
    """Drained or down: it gets no attempt."""
    GONE = "gone"
    """No configuration names it any more."""


@dataclass(slots=True)
class Standing:
    """One replica. `health` is HEALTHY, UNHEALTHY or HALF_OPEN, `since` when and `why`;
    `shown` is the state that was last told, cooldowns included."""

    since: float
    health: State = State.HEALTHY
    why: str = ""
    failures: int = 0
    drained: float | None = None
    drained_why: str = ""
    fault: Fault | None = None
    fault_at: float = 0.0
    doubted: bool = False
    shown: State | None = None
    shown_since: float = 0.0

    def probe_failed(self, now: float, why: str, after: int) -> None:
        """A probe had no good answer; `after` of them in a row take the replica out."""
        self.failures += 1
        if self.health is State.HALF_OPEN or self.failures >= after:
            self._become(State.UNHEALTHY, now, why)

    def probe_passed(self, now: float) -> None:
        """A probe was answered. One that was out is tried again, a request at a time."""
        self.failures = 0
        if self.health is State.UNHEALTHY:
            self._become(State.HALF_OPEN, now, _TRIAL)

    def attempt_failed(self, now: float, fault: Fault) -> None:
        """A request failed by the replica's fault. How often it may is for LiteLLM's cooldowns to
        say; but a replica on trial has failed it."""
        self.fault, self.fault_at, self.doubted = fault, now, True
        if self.health is State.HALF_OPEN and fault.retryable:
            self._become(State.UNHEALTHY, now, f"{fault} on trial")

    def heard(self, now: float, fault: Fault) -> None:
        """A request of another process failed: why it rests, and nothing that we have seen."""
        self.fault, self.fault_at = fault, now

    def attempt_passed(self, now: float) -> None:
        """A request was answered in full: better proof than any probe."""
        self.failures = 0
        self.doubted = False
        self._become(State.HEALTHY, now, "")

    def drain(self, now: float, why: str) -> None:
        """Nothing new from now on; what runs, runs on. A second time changes only `why`."""
        self.drained = now if self.drained is None else self.drained
        self.drained_why = why

    def undrain(self) -> None:
        """Back in rotation, as far as its health allows."""
        self.drained, self.drained_why = None, ""

    @property
    def in_rotation(self) -> bool:
        """Neither drained nor known to be down."""
        return self.drained is None and self.health is not State.UNHEALTHY

    def takes(self, in_flight: int) -> bool:
        """Whether one more request may go there, next to those in flight."""
        if self.drained is not None or self.health is State.UNHEALTHY:
            return False
        return self.health is State.HEALTHY or in_flight == 0

    def regard(self, now: float) -> Regard:
        """OUT, DOUBTED or TRUSTED."""
        if not self.in_rotation:
            return Regard.OUT
        doubted = self.doubted and now - self.fault_at < DOUBT_SECONDS
        return Regard.DOUBTED if doubted else Regard.TRUSTED

    def state(self, cooling: bool) -> State:
        """The one word for all of it: what an operator did comes before what we found out."""
        if self.drained is not None:
            return State.DRAINED
        if self.health is State.UNHEALTHY:
            return State.UNHEALTHY
        return State.COOLING if cooling else self.health

    def reason(self, state: State, now: float) -> str:
        """Why it is in this state; nothing of the inside of a replica's answers."""
        if state is State.DRAINED:
            return self.drained_why
        if state is State.COOLING:
            return f"{self.fault}, {now - self.fault_at:.0f} s ago" if self.fault else "cooldown"
        return self.why

    def _become(self, health: State, now: float, why: str) -> None:
        if health is not self.health:
            self.since = now
        self.health, self.why = health, why
