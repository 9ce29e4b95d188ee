"""What tests of policies that count share: a time that moves, counters in memory, calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import pytest

from gateway import Call, Outcome, Policy, Refusal, Tools, Usage
from gateway.adapters.memory_counters import MemoryCounters
from gateway.domain.call import Attempt, Caller, OutcomeKind
from gateway.domain.endpoints import CHAT
from gateway.domain.fixed import Heard
from gateway.testing.fakes import FakeClock

P = TypeVar("P", bound=Policy)


class Bench:
    """A policy on counters of its own and a clock that it reads."""

    def __init__(self, now: float = 1_000_000.0, **tools: Any) -> None:
        self.clock = FakeClock(now)
        self.heard = Heard()
        counters = tools.pop("counters", None) or MemoryCounters(self.clock)
        self.tools = replace(
            Tools.fixed(),
            now=self.clock,
            counters=counters,
            meters=self.heard,
            audit=self.heard,
            **tools,
        )

    def make(self, kind: type[P], name: str = "", **settings: Any) -> P:
        tools = replace(self.tools, name=name or kind.__name__.lower())
        return kind(kind.Settings.model_validate(settings), tools)


def call(team: str = "ide", key: str = "k1", model: str = "m", **body: Any) -> Call:
    body.setdefault("messages", [{"role": "user", "content": "hi"}])
    return Call("c", CHAT, model, body, 0.0, 60.0, caller=Caller(team, key))


def done(prompt: int = 5, completion: int = 5) -> Outcome:
    """A call that is over, with these tokens."""
    usage = Usage(prompt, completion)
    return Outcome(OutcomeKind.COMPLETED, 200, usage=usage, attempts=(Attempt("r0", "ok", 0.1),))


async def ended(policy: Policy, one: Call, outcome: Outcome | None = None) -> Call:
    """The call goes through `before`, and comes to its end."""
    await policy.before(one)
    await one.holds.release(outcome or done())
    return one


async def refusal(policy: Policy, one: Call) -> Refusal:
    with pytest.raises(Refusal) as raised:
        await policy.before(one)
    await one.holds.release(Outcome(OutcomeKind.REFUSED, 429))
    return raised.value
