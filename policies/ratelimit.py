"""Ratelimit: so many requests and tokens a minute, of a key, a team, a model, a user."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping

from pydantic import Field, model_validator

from gateway import (
    Balance,
    Call,
    Claim,
    Counts,
    Every,
    Full,
    Held,
    LimitSettings,
    Outcome,
    Period,
    Policy,
    Quota,
    Refusal,
    Tools,
    Usage,
    amount_for,
    counted,
    expected,
    reached,
)

# A call may take longer than these last: what it used then counts no more, though it still runs.
_SHORT = ("second", "minute")


class Rule(Quota):
    """One limit, or two: of requests, of tokens."""

    requests: Counts | None = None
    """requests in any stretch of that length: 60, or {ide: 600, default: 60}"""

    tokens: Counts | None = None
    """tokens of prompts and answers: 100000, or one number for each name"""

    every: Every = "minute"
    """second, minute, hour or day"""

    @model_validator(mode="after")
    def _limits_something(self) -> Rule:
        if self.requests is self.tokens is None:
            raise ValueError("say `requests:`, `tokens:` or both")
        return self


class Ratelimit(Policy):
    """Refuses with 429 what would pass a limit in any second, minute, hour or day, wherever that
    begins. Tokens are reserved when a call comes in, and become those really used at its end."""

    class Settings(LimitSettings):
        rules: tuple[Rule, ...] = Field(min_length=1)
        """limits that must all hold: [{per: key, requests: 60}, {per: team, tokens: 100000}]"""

        answer_tokens: int = Field(1024, ge=0)
        """tokens to reserve for an answer whose request names no max_tokens"""

    settings: Settings

    def __init__(self, settings: Settings, tools: Tools) -> None:
        super().__init__(settings, tools)
        self._lengths = tuple(dict.fromkeys(rule.every for rule in settings.rules))
        self._tokens = any(rule.tokens is not None for rule in settings.rules)
        self._leaving: set[asyncio.Task[Mapping[str, Balance]]] = set()

    async def before(self, call: Call) -> None:
        usage = expected(call, self.settings.answer_tokens) if self._tokens else Usage()
        scopes: dict[str, tuple[str, str]] = {}
        try:
            for every in self._lengths:
                await self._take(call, every, usage, scopes)
        except Full as full:
            raise self._refusal(call, full, *scopes[full.claim.account]) from None

    async def _take(
        self, call: Call, every: Every, usage: Usage, scopes: dict[str, tuple[str, str]]
    ) -> None:
        period = Period.sliding(every, self.tools.now())
        claims = list(self._claims(call, every, usage, period, scopes))
        if not claims:
            return

        def used(outcome: Outcome) -> Mapping[str, int]:
            real = counted(outcome, usage)
            amounts = {"requests": int(reached(outcome)), "tokens": real.prompt + real.completion}
            return {claim.account: amounts[scopes[claim.account][0]] for claim in claims}

        unavailable = self.settings.when_unavailable
        held = await self.tools.reserve(call, claims, used, when_unavailable=unavailable)
        if held is None:
            return
        for claim in claims:
            self._tell(call, scopes[claim.account][0], held.balances[claim.account], period)
        if every in _SHORT and not call.rehearsal:
            self._let_go_later(call, held, claims, period)

    def _claims(
        self,
        call: Call,
        every: Every,
        usage: Usage,
        period: Period,
        scopes: dict[str, tuple[str, str]],
    ) -> Iterable[Claim]:
        wanted = {"requests": 1, "tokens": usage.prompt + usage.completion}
        for rule in self.settings.rules:
            names = rule.names(call)
            for unit, amounts in (("requests", rule.requests), ("tokens", rule.tokens)):
                if rule.every != every or amounts is None:
                    continue
                limit = amount_for(amounts, names)
                if limit is not None:
                    account = rule.account(f"{self.tools.name}:{unit}:{every}", names)
                    scopes[account] = unit, rule.scope
                    yield Claim(account, wanted[unit], limit, period.window)

    def _let_go_later(self, call: Call, held: Held, claims: list[Claim], period: Period) -> None:
        def let_go() -> None:
            amounts = {claim.account: claim.amount for claim in claims}
            leaving = asyncio.ensure_future(held.settle(amounts))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

        delay = max(0.0, period.over - self.tools.now())
        timer = asyncio.get_running_loop().call_later(delay, let_go)

        async def stop(outcome: Outcome) -> None:
            timer.cancel()

        call.holds.add(stop)

    def _tell(self, call: Call, unit: str, balance: Balance, period: Period) -> None:
        left = balance.remaining or 0
        known = call.reply_headers.get(f"x-ratelimit-remaining-{unit}")
        if known is not None and int(known) <= left:
            return  # of several limits, clients hear of the nearest
        # The oldest of what is used leaves first; this call itself, if there is nothing else.
        passed = self.tools.now() - period.window.bucket * period.window.seconds
        oldest = balance.frees_s - passed if balance.frees_s else period.over - self.tools.now()
        call.reply_headers |= {
            f"x-ratelimit-limit-{unit}": str(balance.limit),
            f"x-ratelimit-remaining-{unit}": str(left),
            f"x-ratelimit-reset-{unit}": duration(oldest),
        }

    def _refusal(self, call: Call, full: Full, unit: str, scope: str) -> Refusal:
        claim, balance, now = full.claim, full.balance, self.tools.now()
        limit, window = claim.limit or 0, claim.window
        begins = window.bucket * window.seconds
        over = begins + (balance.frees_s or window.span * window.seconds)
        self.tools.meters.rate_limited(self.tools.name, scope)
        call.reply_headers |= {
            f"x-ratelimit-limit-{unit}": str(limit),
            f"x-ratelimit-remaining-{unit}": str(balance.remaining or 0),
            f"x-ratelimit-reset-{unit}": duration(over - now),
        }
        every = claim.account.split("|")[0].rpartition(":")[2]
        said = f"Rate limit reached: {limit} {unit} a {every} for each {scope}"
        said += f"; {balance.used + balance.held} are used, and this asks for {claim.amount}."
        if claim.amount > limit:
            call.reply_headers["x-should-retry"] = "false"
            return self._no(f"{said} It never fits: send less, or name a smaller max_tokens.", unit)
        wait = math.ceil(over - now)
        return self._no(f"{said} Try again in {wait} s.", unit, wait)

    def _no(self, said: str, unit: str, wait: float | None = None) -> Refusal:
        code = "rate_limit_exceeded"
        return Refusal(said, status=429, code=code, type=unit, retry_after=wait)


def duration(seconds: float) -> str:
    """As OpenAI writes it: 120ms, 1s, 6m0s, 1h0m0s; rounded up."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"
