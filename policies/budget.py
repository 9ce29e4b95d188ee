"""Budget: so much money, or so many tokens, a day, week or month, of a key, team, model or user."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from gateway import (
    Amounts,
    Balance,
    Call,
    Claim,
    Counts,
    Full,
    LimitSettings,
    Outcome,
    Period,
    Policy,
    Quota,
    Refusal,
    Term,
    Tools,
    Usage,
    amount_for,
    at_most,
    bounded,
    counted,
)

_MICRO = 1_000_000


class Rule(Quota):
    """One budget, of money or of tokens."""

    money: Amounts | None = None
    """in the currency of the prices: 50, or {research: 200, default: 50}"""

    tokens: Counts | None = None
    """tokens of prompts and answers, for models that cost nothing: 5000000"""

    every: Term = "month"
    """day, week (from Monday) or month"""

    hard: bool = True
    """false: a call is never refused, only told of"""

    @model_validator(mode="after")
    def _one_of_both(self) -> Rule:
        if (self.money is None) == (self.tokens is None):
            raise ValueError("say `money:` or `tokens:`, one of the two")
        return self


@dataclass(frozen=True, slots=True)
class _Account:
    rule: Rule
    names: tuple[str, ...]
    limit: int
    period: Period

    @property
    def unit(self) -> str:
        return "tokens" if self.rule.money is None else "money"

    def worth(self, usage: Usage, paid: int) -> int:
        return usage.prompt + usage.completion if self.rule.money is None else paid

    def shown(self, amount: int) -> float:
        return amount if self.rule.money is None else round(amount / _MICRO, 6)


class Budget(Policy):
    """Reserves what a call may cost when it comes in and settles on what it did cost; refuses with
    429 what may pass a budget. Tells once at each of `alerts`: log, metric, audit log."""

    class Settings(LimitSettings):
        rules: tuple[Rule, ...] = Field(min_length=1)
        """budgets that must all hold: [{per: team, money: 50, every: month}]"""

        timezone: ZoneInfo = ZoneInfo("UTC")
        """whose midnight ends a day, week or month: UTC, Asia/Seoul"""

        alerts: tuple[int, ...] = (80, 100)
        """percent of a budget at which to tell, once in each day, week or month"""

        unpriced: Literal["refuse", "free"] = "refuse"
        """what a model without a price is under a budget of money"""

        answer_tokens: int = Field(1024, ge=0)
        """tokens to reserve for an answer that neither its request nor a known window bounds"""

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._alerted: dict[tuple[str, int], int] = {}

    def remarks(self, models: Collection[str]) -> Iterable[str]:
        free = sorted(name for name in models if self.tools.prices.of(name) is None)
        if free and any(rule.money is not None for rule in self.settings.rules):
            then = "cost nothing" if self.settings.unpriced == "free" else "are refused"
            yield f"no price for {', '.join(free)}: their calls {then} under a budget of money"

    async def before(self, call: Call) -> None:
        accounts = self._accounts(call)
        if not accounts:
            return
        hard = any(one.unit == "money" and one.rule.hard for one in accounts.values())
        if hard and self.settings.unpriced == "refuse" and not self.tools.prices.of(call.model):
            said = f"The model {call.model[:80]!r} has no price, and budgets here are of money."
            raise Refusal(said, code="model_not_priced")
        usage = await at_most(call, self.tools.reach, self.settings.answer_tokens)

        def used(outcome: Outcome) -> Mapping[str, int]:
            real = counted(outcome, usage)
            paid = self.tools.prices.charge(call, outcome, real)
            return {name: one.worth(real, paid) for name, one in accounts.items()}

        async def told(balances: Mapping[str, Balance]) -> None:
            for name, account in accounts.items():
                await self._watch(call, name, account, balances[name].used)

        most = 0
        if any(one.unit == "money" for one in accounts.values()):
            most = self.tools.prices.most(self.tools.reach.models(call.model), usage)
        claims = [self._claim(name, one, one.worth(usage, most)) for name, one in accounts.items()]
        try:
            unavailable = self.settings.when_unavailable
            await self.tools.reserve(call, claims, used, told, when_unavailable=unavailable)
        except Full as full:
            account = accounts[full.claim.account]
            await self._watch(call, full.claim.account, account, full.balance.used, refused=True)
            raise self._refusal(call, full, account) from None

    def _accounts(self, call: Call) -> dict[str, _Account]:
        found, now = {}, self.tools.now()
        for rule in self.settings.rules:
            names = rule.names(call)
            micro, amounts = (1, rule.tokens) if rule.money is None else (_MICRO, rule.money)
            amount = amount_for(amounts or {}, names)
            if amount is None:
                continue
            limit = round(amount * micro)
            period = Period.calendar(rule.every, self.settings.timezone, now)
            one = _Account(rule, names, limit, period)
            kind = f"{one.unit}:{rule.every}:{'hard' if rule.hard else 'soft'}"
            found[rule.account(f"{self.tools.name}:{kind}", names)] = one
        return found

    def _claim(self, name: str, account: _Account, amount: int) -> Claim:
        who = account.rule.ledger_words(account.names)
        limit = account.limit if account.rule.hard else None

        async def spent() -> int:
            known = await self.tools.ledger.spent(**(who or {}), since=account.period.begins)
            return known.tokens if account.unit == "tokens" else known.cost

        return Claim(name, amount, limit, account.period.window, None if who is None else spent)

    async def _watch(
        self, call: Call, name: str, account: _Account, used: int, *, refused: bool = False
    ) -> None:
        share = used / account.limit if account.limit else 1.0
        if account.rule.per == ("team",):
            self.tools.meters.budget_used(call.caller.team, self.tools.name, share)
        if call.rehearsal:
            return
        # What is left may be too little for any call long before the last token is used.
        reached = 100 if refused and share >= 0.9 else math.floor(share * 100)
        for percent in self.settings.alerts:
            window = account.period.window
            if reached >= percent and self._alerted.get((name, percent)) != window.bucket:
                self._alerted[name, percent] = window.bucket
                if await self.tools.once(f"{name}|alert={percent}", window):
                    self._alert(account, used, percent)

    def _alert(self, account: _Account, used: int, percent: int) -> None:
        whose = account.rule.whose(account.names)
        told = {"percent": percent, "unit": account.unit, "every": account.rule.every}
        told |= {"used": account.shown(used), "limit": account.shown(account.limit)}
        self.tools.log.warning("budget.alert", extra={"fields": {"whose": whose, **told}})
        self.tools.meters.budget_alert(self.tools.name, percent)
        self.tools.audit.put("gateway", "budget.alert", whose, {**told, "policy": self.tools.name})

    def _refusal(self, call: Call, full: Full, account: _Account) -> Refusal:
        rule, left = account.rule, account.shown(full.balance.remaining or 0)
        limit, wanted = account.shown(account.limit), account.shown(full.claim.amount)
        call.reply_headers["x-should-retry"] = "false"  # clients would do so for weeks
        code, wait = "insufficient_quota", math.ceil(account.period.over - self.tools.now())
        said = f"The budget of this {rule.scope} for this {rule.every} does not suffice: {left} of "
        said += f"{limit} {account.unit} are left, and this call may take {wanted}."
        said += "" if bounded(call) else " Name max_tokens to ask for less."
        return Refusal(said, status=429, code=code, type=code, retry_after=wait)
