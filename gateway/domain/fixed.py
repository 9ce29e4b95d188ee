"""What Tools.fixed() hands a policy under test: counters, a ledger and ears that forget nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.counters import Balance, Claim, CountersUnavailable, Full, Window, checked
from gateway.domain.counters import frees_s as frees


@dataclass(frozen=True, slots=True)
class Alone:
    """Satisfies domain.tools.Reach: nobody stands in for a model, and each holds `tokens`."""

    tokens: int | None = None

    def models(self, model: str) -> tuple[str, ...]:
        """Itself."""
        return (model,)

    async def window(self, model: str) -> int | None:
        """The same of all."""
        return self.tokens


class FixedCounters:
    """Satisfies domain.counters.Counters, in a few lines, for one test: all that was ever settled
    stays in it. `away`: nobody answers."""

    def __init__(self) -> None:
        self.away = False
        self.settled: dict[str, Counter[int]] = {}
        self.held: Counter[str] = Counter()
        self.claims: list[Claim] = []

    async def claim(self, claims: Sequence[Claim], *, ttl_s: float = 60.0) -> FixedHeld:
        """All or none."""
        checked(claims)
        if self.away:
            raise CountersUnavailable(detail="these counters are away")
        for claim in claims:
            if claim.seed is not None and claim.account not in self.settled:
                used = await claim.seed()
                self.settled[claim.account] = Counter({claim.window.bucket: used})
        for claim in claims:
            balance = self.now(claim.account, claim.limit, claim.window, claim.amount)
            if claim.limit is not None and balance.used + balance.held + claim.amount > claim.limit:
                raise Full(claim, balance)
        for claim in claims:
            self.held[claim.account] += claim.amount
        self.claims += claims
        return FixedHeld(self, claims)

    async def balance(self, account: str, limit: int | None, window: Window) -> Balance:
        """How it stands."""
        if self.away:
            raise CountersUnavailable(detail="these counters are away")
        return self.now(account, limit, window)

    def now(self, account: str, limit: int | None, window: Window, amount: int = 0) -> Balance:
        """The same, at once; `amount` is what somebody would like to have."""
        settled, held = self.settled.get(account, Counter()), self.held[account]
        used = sum(count for bucket, count in settled.items() if window.covers(bucket))
        excess = 1 if limit is None else max(1, used + held + amount - limit)
        return Balance(used, held, limit, frees(settled, window, excess))

    def used(self, account: str) -> int:
        """All that was ever settled of the account whose name begins so."""
        return sum(c.total() for name, c in self.settled.items() if name.startswith(account))


class FixedHeld:
    """Satisfies domain.counters.Held."""

    def __init__(self, counters: FixedCounters, claims: Sequence[Claim]) -> None:
        self._counters, self._claims, self._open = counters, tuple(claims), True
        self.balances: Mapping[str, Balance] = self._now()

    def _now(self) -> dict[str, Balance]:
        now = self._counters.now
        return {one.account: now(one.account, one.limit, one.window) for one in self._claims}

    async def settle(self, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """Once."""
        for claim in self._claims if self._open else ():
            self._counters.held[claim.account] -= claim.amount
            settled = self._counters.settled.setdefault(claim.account, Counter())
            settled[claim.window.bucket] += amounts.get(claim.account, 0)
        self._open = False
        return self._now()


class Heard:
    """Hears what policies tell: `events` of the audit log, `limited` scopes, `used` shares."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, dict[str, Any]]] = []
        self.limited: list[tuple[str, str]] = []
        self.used: dict[tuple[str, str], float] = {}
        self.alerts: list[tuple[str, int]] = []
        self.redactions: list[tuple[str, str, int]] = []

    def put(self, actor: str, action: str, target: str, facts: Mapping[str, Any]) -> None:
        """An event for the audit log."""
        self.events.append((actor, action, target, dict(facts)))

    def rate_limited(self, policy: str, scope: str) -> None:
        """A limit refused a call."""
        self.limited.append((policy, scope))

    def budget_used(self, team: str, policy: str, ratio: float) -> None:
        """What of a team's budget is used, from 0."""
        self.used[team, policy] = ratio

    def budget_alert(self, policy: str, percent: int) -> None:
        """A budget has reached so much of itself."""
        self.alerts.append((policy, percent))

    def redacted(self, policy: str, kind: str, count: int) -> None:
        """So many of that kind were taken out."""
        self.redactions.append((policy, kind, count))
