"""Counters of this process alone: exact, and gone with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.adapters.seeding import Seeds
from gateway.domain.counters import (
    Balance,
    Claim,
    CountersUnavailable,
    Full,
    Held,
    Window,
    checked,
    frees_s,
)

# The first look for accounts that nobody needs any more.
_FIRST_SWEEP = 1024


_NEVER = Window(bucket=0, span=0, seconds=0.0)


@dataclass(slots=True)
class _Account:
    """`settled` by buckets; `used` is what of it counts in the window `at`; `holds` holds have
    `held` together; it is idle without them once `over`."""

    settled: dict[int, int] = field(default_factory=dict)
    held: int = 0
    holds: int = 0
    used: int = 0
    at: Window = _NEVER
    over: float = 0.0

    def look(self, window: Window, now: float) -> None:
        """Count anew where the window has moved, and forget what nobody asks for any more."""
        over, at = now + window.over_s, self.at
        if over > self.over:
            self.over = over
        if at.bucket == window.bucket and at.span == window.span:
            return
        self.at = window
        oldest = window.bucket - 2 * window.span
        self.settled = {b: amount for b, amount in self.settled.items() if b > oldest}
        self.used = sum(amount for b, amount in self.settled.items() if window.covers(b))

    def settle(self, window: Window, amount: int) -> None:
        """It has been used, in the bucket of `window`."""
        if amount <= 0 or not window.span:
            return
        self.settled[window.bucket] = self.settled.get(window.bucket, 0) + amount
        if self.at.covers(window.bucket):
            self.used += amount

    def balance(self, limit: int | None, window: Window, amount: int = 0) -> Balance:
        """As it is, after `look`; `amount` is what somebody would like to have."""
        excess = 1 if limit is None else max(1, self.used + self.held + amount - limit)
        frees = frees_s(self.settled, window, excess) if self.used else 0.0
        return Balance(self.used, self.held, limit, frees)


class MemoryCounters:
    """Satisfies domain.counters.Counters. At most `most` accounts: one that holds nothing, and
    whose window is over, makes room; CountersUnavailable where none does. `clock` gives monotonic
    seconds."""

    def __init__(self, clock: Callable[[], float], most: int = 100_000) -> None:
        self._clock = clock
        self._most = most
        self._sweep_at = min(_FIRST_SWEEP, most)
        self._accounts: dict[str, _Account] = {}
        self._seeds = Seeds()

    def __len__(self) -> int:
        return len(self._accounts)

    async def claim(self, claims: Sequence[Claim], *, ttl_s: float = 60.0) -> Held:
        """All or none. What is held lives as long as this process, whatever `ttl_s`."""
        checked(claims)
        unknown = [c for c in claims if c.seed is not None and c.account not in self._accounts]
        if unknown:
            used = await self._seeds.ask(unknown)
            for claim in unknown:
                if claim.account not in self._accounts:
                    account = self._account(claim.account, claim.window, self._clock())
                    account.settle(claim.window, used[claim.account])
        # From here on nothing waits: nobody else comes in between.
        accounts, now = list[_Account](), self._clock()
        for claim in claims:
            account = self._account(claim.account, claim.window, now)
            taken = account.used + account.held + claim.amount
            if claim.limit is not None and taken > claim.limit:
                raise Full(claim, account.balance(claim.limit, claim.window, claim.amount))
            accounts.append(account)
        for claim, account in zip(claims, accounts, strict=True):
            account.held += claim.amount
            account.holds += 1
        return _MemoryHeld(self, claims, accounts)

    async def balance(self, account: str, limit: int | None, window: Window) -> Balance:
        """How an account stands; one that nobody knows stands at 0."""
        return self.now(account, limit, window)

    def now(self, account: str, limit: int | None, window: Window) -> Balance:
        """The same, at once."""
        known = self._accounts.get(account)
        if known is None:
            return Balance(0, 0, limit)
        known.look(window, self._clock())
        return known.balance(limit, window)

    def _account(self, name: str, window: Window, now: float) -> _Account:
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= self._sweep_at:
                self._sweep(now)
            account = self._accounts[name] = _Account()
        account.look(window, now)
        return account

    def _sweep(self, now: float) -> None:
        """Forget the idle; look again once there are twice as many, so that it costs little."""
        self._accounts = {
            name: one for name, one in self._accounts.items() if one.holds or one.over > now
        }
        if len(self._accounts) >= self._most:
            raise CountersUnavailable(detail=f"{len(self._accounts)} accounts are in use at once")
        self._sweep_at = min(self._most, max(_FIRST_SWEEP, 2 * len(self._accounts)))


class _Balances(Mapping[str, Balance]):
    """Those of claims, each as it is when somebody asks for it: most are never asked for."""

    __slots__ = ("_claims", "_counters")

    def __init__(self, counters: MemoryCounters, claims: Sequence[Claim]) -> None:
        self._counters = counters
        self._claims = claims

    def __getitem__(self, account: str) -> Balance:
        for claim in self._claims:
            if claim.account == account:
                return self._counters.now(account, claim.limit, claim.window)
        raise KeyError(account)

    def __iter__(self) -> Iterator[str]:
        return (claim.account for claim in self._claims)

    def __len__(self) -> int:
        return len(self._claims)


class _MemoryHeld:
    """Satisfies domain.counters.Held."""

    __slots__ = ("_accounts", "_claims", "_open", "balances")

    def __init__(
        self, counters: MemoryCounters, claims: Sequence[Claim], accounts: Sequence[_Account]
    ) -> None:
        self._claims = tuple(claims)
        self._accounts = accounts
        self._open = True
        self.balances: Mapping[str, Balance] = _Balances(counters, self._claims)

    async def settle(self, amounts: Mapping[str, int]) -> Mapping[str, Balance]:
        """Once."""
        if self._open:
            self._open = False
            for claim, account in zip(self._claims, self._accounts, strict=True):
                account.held -= claim.amount
                account.holds -= 1
                account.settle(claim.window, amounts.get(claim.account, 0))
        return self.balances
