"""Concurrency: so many calls at once, of a key, a team, a model, a user."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from gateway import (
    Call,
    Claim,
    Counts,
    Full,
    LimitSettings,
    Outcome,
    Policy,
    Quota,
    Refusal,
    Window,
    amount_for,
)

# Nothing that is over counts.
_NOW = Window(bucket=0, span=0, seconds=1.0)


class Rule(Quota):
    """One limit."""

    calls: Counts
    """calls that may run at once: 4, or {batch: 32, default: 4}"""


class Concurrency(Policy):
    """Refuses with 429 a call that would be one too many at once. Those that wait for a slot count
    too; each is given back when it ends, however that is."""

    class Settings(LimitSettings):
        rules: tuple[Rule, ...] = Field(min_length=1)
        """limits that must all hold: [{per: key, calls: 4}, {per: team, calls: 32}]"""

    settings: Settings

    async def before(self, call: Call) -> None:
        scopes: dict[str, str] = {}
        claims: list[Claim] = []
        for rule in self.settings.rules:
            names = rule.names(call)
            limit = amount_for(rule.calls, names)
            if limit is not None:
                account = rule.account(self.tools.name, names)
                scopes[account] = rule.scope
                claims.append(Claim(account, 1, limit, _NOW))
        if not claims:
            return
        try:
            unavailable = self.settings.when_unavailable
            await self.tools.reserve(call, claims, _nothing, when_unavailable=unavailable)
        except Full as full:
            raise self._refusal(full.claim.limit, scopes[full.claim.account]) from None

    def _refusal(self, limit: int | None, scope: str) -> Refusal:
        self.tools.meters.rate_limited(self.tools.name, scope)
        return Refusal(
            f"Too many calls at once: at most {limit} for each {scope}. Try again when one ends.",
            status=429,
            code="concurrency_limit_exceeded",
            type="requests",
            retry_after=1.0,
        )


def _nothing(outcome: Outcome) -> Mapping[str, int]:
    return {}
