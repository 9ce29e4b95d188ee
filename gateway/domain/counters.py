"""Accounts that calls draw on: Claim what a call may use, Window of what counts, Held.

Amounts are whole numbers: requests, tokens, or money in micro-units (1e-6 of the currency).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.domain.errors import GatewayError


@dataclass(frozen=True, slots=True)
class Window:
    """Which settled amounts of an account count: those of `bucket` and of the `span` - 1 buckets
    before it. `seconds` is the length of one bucket. With a span of 0 nothing settled counts, only
    what is held (concurrency).

    Clocks of processes differ: what another one has settled in up to `span` later buckets counts
    too. An account has one length and one span: put both into its name.
    """

    bucket: int
    span: int
    seconds: float

    def covers(self, bucket: int) -> bool:
        """Whether what was settled in that bucket counts."""
        return self.bucket - self.span < bucket <= self.bucket + self.span

    @property
    def over_s(self) -> float:
        """Seconds after which nothing that is settled now counts for anybody."""
        return (2 * self.span + 1) * self.seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """`amount` of an account, so that used + held + amount <= `limit` (None: it is only counted).

    `seed` says what this window has used already, and is asked once where the counters know
    nothing of the account, after a restart say. What it counts must have been written there before
    the call's hold is settled, or it is counted twice.
    """

    account: str
    amount: int
    limit: int | None
    window: Window
    seed: Callable[[], Awaitable[int]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account as of now. `frees_s`: seconds from the beginning of the window's bucket until
    enough of `used` counts no more for the claim to fit (asked without one: until the oldest
    does); 0.0 where time alone frees nothing."""

    used: int
    held: int
    limit: int | None
    frees_s: float = 0.0

    @property
    def remaining(self) -> int | None:
        """What may still be claimed; None without a limit."""
        return None if self.limit is None else max(0, self.limit - self.used - self.held)


class Full(Exception):
    """`claim` would pass its limit, at this `balance`; nothing was taken of any claim."""

    def __init__(self, claim: Claim, balance: Balance) -> None:
        super().__init__(f"{claim.account}: {balance.used} used, {balance.held} held")
        self.claim = claim
        self.balance = balance


class CountersUnavailable(GatewayError):
    """Nobody knows what is used now: the shared counters do not answer."""

    status = 503
    code = "counters_unavailable"
    default_public = "The counters of this gateway's limits do not answer; try again soon."

    def __init__(self, *, detail: str = "") -> None:
        super().__init__(detail=detail, retry_after=1.0)


class Held(Protocol):
    """What claims have taken, until it is settled. `balances` are those after the claim; ask at
    once, since some are looked up only then."""

    @property
    def balances(self) -> Mapping[str, Balance]: ...

    async def settle(self, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """What is held becomes these amounts, 0 for accounts not named, in the bucket that was
        claimed. Once: later calls do nothing, and tell the same. Never raises: while nobody
        answers it is kept and tried again, and nothing is told ({})."""
        ...


class Counters(Protocol):
    """Keeps accounts, for all processes or for this one."""

    async def claim(self, claims: Sequence[Claim], *, ttl_s: float = 60.0) -> Held:
        """All of them or none, in one step for all processes; an account at most once. Full when
        one does not fit, CountersUnavailable within 50 ms (and the time that a seed takes). What
        is held stays while this process lives, and lapses `ttl_s` after it died."""
        ...

    async def balance(self, account: str, limit: int | None, window: Window) -> Balance:
        """How an account stands. CountersUnavailable within 50 ms."""
        ...


def frees_s(settled: Mapping[int, int], window: Window, excess: int) -> float:
    """Seconds from the beginning of `window.bucket` until more than `excess` - 1 of what is
    settled by buckets counts no more; 0.0 where it never is that much."""
    gone, first, last = 0, window.bucket - window.span, window.bucket + window.span
    for bucket in sorted(settled):
        if not first < bucket <= last:
            continue
        gone += settled[bucket]
        if settled[bucket] and gone >= excess:
            return (bucket + window.span - window.bucket) * window.seconds
    return 0.0


def checked(claims: Sequence[Claim]) -> None:
    """ValueError for claims that make no sense: a negative amount, one account twice."""
    seen: set[str] = set()
    for claim in claims:
        if claim.amount < 0:
            raise ValueError("an amount is 0 or more")
        if claim.account in seen:
            raise ValueError("an account is claimed at most once at a time")
        seen.add(claim.account)
