"""What the house hands a policy: Tools, with clock, counters, prices, ledger, audit log, meters."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from gateway.domain.audit import AuditLog
from gateway.domain.call import Call, Outcome
from gateway.domain.counters import (
    Balance,
    Claim,
    Counters,
    CountersUnavailable,
    Full,
    Held,
    Window,
)
from gateway.domain.errors import GatewayError
from gateway.domain.fixed import Alone, FixedCounters, Heard
from gateway.domain.ledger import MemoryLedger, Spent
from gateway.domain.prices import Prices

Used = Callable[[Outcome], Mapping[str, int]]
WhenUnavailable = Literal["allow", "refuse"]
Told = Callable[[Mapping[str, Balance]], Awaitable[None]]


class PolicyMeters(Protocol):
    """What policies tell as metrics. Nothing here waits, and nothing raises; safe in any thread."""

    def rate_limited(self, policy: str, scope: str) -> None:
        """A limit refused a call."""

    def budget_used(self, team: str, policy: str, ratio: float) -> None:
        """What of a team's budget is used, from 0."""

    def budget_alert(self, policy: str, percent: int) -> None:
        """A budget has reached so much of itself."""

    def redacted(self, policy: str, kind: str, count: int) -> None:
        """So many secrets, or personal details, of that kind were taken out."""


class Reach(Protocol):
    """Knows where a call may go."""

    def models(self, model: str) -> Sequence[str]:
        """The configured models that may answer whoever asks for `model`: itself, and all that may
        stand in for it."""
        ...

    async def window(self, model: str) -> int | None:
        """The most tokens that any of those holds, prompt and answer together; None where nobody
        can tell."""
        ...


class Spending(Protocol):
    """Knows what was used before: of the team, key or model that is named, since an epoch time."""

    async def spent(
        self, *, team: str = "", key_id: str = "", model: str = "", since: float
    ) -> Spent: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """`now` in epoch seconds, `random` in [0, 1), a log of the policy's own, its `name` in the
    chain; what counts and costs, and where calls may go. `reserve` is the safe way to the
    counters."""

    now: Callable[[], float]
    random: Callable[[], float]
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("gateway.policies"))
    name: str = "policy"
    counters: Counters = field(default_factory=FixedCounters)
    prices: Prices = field(default_factory=Prices)
    ledger: Spending = field(default_factory=MemoryLedger)
    reach: Reach = field(default_factory=Alone)
    audit: AuditLog = field(default_factory=Heard)
    meters: PolicyMeters = field(default_factory=Heard)

    @classmethod
    def fixed(
        cls,
        now: float = 0.0,
        random: float = 0.5,
        *,
        prices: Prices | None = None,
        ledger: Spending | None = None,
        reach: Reach | None = None,
    ) -> Tools:
        """For tests: time stands still, chance always says the same, and the counters are real
        ones (FixedCounters) that nobody else counts in."""
        return cls(
            now=lambda: now,
            random=lambda: random,
            prices=prices or Prices(),
            ledger=ledger or MemoryLedger(),
            reach=reach or Alone(),
        )

    async def reserve(
        self,
        call: Call,
        claims: Sequence[Claim],
        used: Used,
        told: Told | None = None,
        *,
        when_unavailable: WhenUnavailable = "refuse",
    ) -> Held | None:
        """Claims all or nothing: Full, where one does not fit. When the call is over, however it
        ended, each account settles on what `used(outcome)` says, 0 where it says nothing, and on
        what was claimed where that raises or is rubbish; `told` then hears how they stand. A
        rehearsal takes nothing and is only looked at. While nobody can tell, CountersUnavailable,
        or None where that allows the call."""
        try:
            if call.rehearsal:
                return await looked_at(self.counters, claims)
            held = await self.counters.claim(claims)
        except CountersUnavailable as error:
            if when_unavailable == "refuse":
                raise
            self.log.warning("call %s is not limited: %s", call.id, error.detail)
            return None

        async def settle(outcome: Outcome) -> None:
            balances = await _settled(held, claims, used, outcome)
            if told is not None and balances:
                await told(balances)

        try:
            call.holds.add(settle)
        except RuntimeError:
            await held.settle({})  # the call is over: nobody else would
            raise
        return held

    async def once(self, mark: str, window: Window) -> bool:
        """True for the first of all processes that asks with this mark in this window; False too
        where nobody can tell."""
        try:
            held = await self.counters.claim([Claim(mark, 1, 1, window)])
        except (Full, CountersUnavailable):
            return False
        await held.settle({mark: 1})
        return True


async def _settled(
    held: Held, claims: Sequence[Claim], used: Used, outcome: Outcome
) -> Mapping[str, Balance]:
    try:
        amounts = {name: int(amount) for name, amount in used(outcome).items()}
    except Exception:
        # A marked edge: a policy's own code. What is held must not stay so for good.
        await held.settle({claim.account: claim.amount for claim in claims})
        raise
    return await held.settle(amounts)


class _Looked:
    """A Held that holds nothing."""

    def __init__(self, balances: Mapping[str, Balance]) -> None:
        self.balances = balances

    async def settle(self, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """Nothing."""
        return self.balances


async def looked_at(counters: Counters, claims: Sequence[Claim]) -> Held:
    """What claiming would come to, and nothing is taken: Full, or how the accounts stand now."""
    balances = {}
    for claim in claims:
        balance = await counters.balance(claim.account, claim.limit, claim.window)
        if claim.seed is not None and not (balance.used or balance.held):
            try:
                balance = replace(balance, used=await claim.seed())
            except GatewayError as error:
                raise CountersUnavailable(detail=error.detail) from None
        left = balance.remaining
        if left is not None and claim.amount > left:
            raise Full(claim, balance)
        balances[claim.account] = balance
    return _Looked(balances)
