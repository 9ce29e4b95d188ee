"""Runs one policy as the gateway would, with no server: PolicyBench, and what became of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson

from gateway.domain.call import Attempt, Call, Caller, Outcome, OutcomeKind, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import GatewayError, Refusal
from gateway.domain.fixed import FixedCounters, Heard
from gateway.domain.ledger import Spent
from gateway.domain.policy import Link, Policy, PolicyFailed, Verdict
from gateway.domain.prices import Prices
from gateway.domain.record import Record
from gateway.domain.sse import DONE, data_of, events
from gateway.domain.tools import Tools
from gateway.flow.guard import Guard
from gateway.testing.fakes import FakeClock, chunk, usage_chunk

P = TypeVar("P", bound=Policy)


def policy_call(
    text: str = "hi",
    *,
    team: str = "ide",
    key: str = "ide-1",
    model: str = "m",
    stream: bool = False,
    **body: Any,
) -> Call:
    """A chat call that says `text`; `body` has further fields of the request."""
    body = {"messages": [{"role": "user", "content": text}], "model": model, **body}
    call = Call("call-1", CHAT, model, body, 0.0, 60.0, stream=stream, caller=Caller(team, key))
    call.record = Record(lambda: 0.0)
    return call


class KnownSpending:
    """A ledger that says `spent` to everybody, and remembers what it was asked."""

    def __init__(self, spent: Spent) -> None:
        self.says = spent
        self.asked: list[dict[str, object]] = []

    async def spent(
        self, *, team: str = "", key_id: str = "", model: str = "", since: float
    ) -> Spent:
        """Always the same."""
        self.asked.append({"team": team, "key_id": key_id, "model": model, "since": since})
        return self.says


@dataclass(slots=True)
class Ran:
    """What became of a call. `text` is what reached the client; `error` what it was told instead,
    or after that; `verdicts` are the policies' own, in order."""

    call: Call
    text: str = ""
    error: GatewayError | None = None
    verdicts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def refused(self) -> Refusal | None:
        """The policy's no."""
        return self.error if isinstance(self.error, Refusal) else None

    @property
    def failed(self) -> PolicyFailed | None:
        """The policy broke."""
        return self.error if isinstance(self.error, PolicyFailed) else None


class PolicyBench:
    """Policies on counters, prices and a ledger of their own, and a clock that moves when it is
    told to: `bench.clock.now += 60`."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.clock = FakeClock(now)
        self.counters = FixedCounters()
        self.heard = Heard()
        self.tools = replace(
            Tools.fixed(),
            now=self.clock,
            counters=self.counters,
            meters=self.heard,
            audit=self.heard,
        )

    def priced(self, prices: Prices) -> None:
        """What models cost, for policies made from now on."""
        self.tools = replace(self.tools, prices=prices)

    def spent(self, spent: Spent) -> KnownSpending:
        """What the ledger says was used before, to policies made from now on."""
        ledger = KnownSpending(spent)
        self.tools = replace(self.tools, ledger=ledger)
        return ledger

    def make(self, kind: type[P], **settings: Any) -> P:
        """A policy with these settings, checked as those of config/policies.yaml are."""
        tools = replace(self.tools, name=kind.__name__.lower())
        return kind(kind.Settings.model_validate(settings), tools)

    def run(
        self, *chain: Policy | Link, call: Call | None = None, answer: str = "", pieces: int = 0
    ) -> Ran:
        """The whole way of a call: `before`, the answer through `during`, then its end. Streaming
        calls get the answer in `pieces` characters at a time (0: in one)."""
        return asyncio.run(self.walk(*chain, call=call, answer=answer, pieces=pieces))

    def run_split(self, *chain: Policy | Link, answer: str, **body: Any) -> list[Ran]:
        """The same answer as streams that are cut at every border there is, and whole: what a
        policy does must not hang on where the pieces end."""
        found = [self.run(*chain, call=policy_call(**body), answer=answer)]
        for border in range(len(answer) + 1):
            call, parts = policy_call(stream=True, **body), (answer[:border], answer[border:])
            found.append(asyncio.run(self._walk(chain, call, parts)))
        call = policy_call(stream=True, **body)
        return [*found, self.run(*chain, call=call, answer=answer, pieces=1)]

    async def walk(
        self, *chain: Policy | Link, call: Call | None = None, answer: str = "", pieces: int = 0
    ) -> Ran:
        """`run` for tests that are async themselves."""
        step = pieces or max(1, len(answer))
        parts = [answer[at : at + step] for at in range(0, len(answer), step)]
        return await self._walk(chain, call or policy_call(), parts)

    async def _walk(self, chain: Sequence[Policy | Link], call: Call, parts: Sequence[str]) -> Ran:
        ran = Ran(call)

        def told(_: Call, policy: str, verdict: Verdict, seconds: float) -> None:
            ran.verdicts.append((policy, verdict.value))

        links = [one if isinstance(one, Link) else Link(one, _name(one)) for one in chain]
        guard = Guard(links, on_verdict=told)
        outcome = Outcome(OutcomeKind.REFUSED, 403)
        try:
            await guard.before(call)
            outcome = _answered(call, parts)
            async for piece in guard.filter(call, _chunks(call, parts), call.stream):
                ran.text += _text(piece, call.stream)
        except GatewayError as error:
            ran.error = error
            kind = OutcomeKind.REFUSED if error.status < 500 else OutcomeKind.FAILED
            outcome = replace(outcome, kind=kind, status=error.status, code=error.code)
        await call.holds.release(outcome)
        await guard.after(call, outcome)
        return ran


def _name(policy: Policy) -> str:
    return type(policy).__name__.lower()


def _answered(call: Call, parts: Sequence[str]) -> Outcome:
    usage = Usage(prompt=len(str(call.body.get("messages"))) // 4, completion=len(parts))
    ok = (Attempt("r0", "ok", 0.1),)
    return Outcome(OutcomeKind.COMPLETED, 200, usage=usage, replica="r0", attempts=ok)


async def _chunks(call: Call, parts: Sequence[str]) -> AsyncIterator[bytes]:
    if call.stream:
        for part in parts:
            yield chunk(part)
        for last in (chunk(finish="stop"), usage_chunk(), DONE):
            yield last
        return
    message = {"role": "assistant", "content": "".join(parts)}
    yield orjson.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def _text(piece: bytes, stream: bool) -> str:
    if not stream:
        return str(orjson.loads(piece)["choices"][0]["message"]["content"])
    found = ""
    for event in events(piece):
        data = data_of(event)
        if data is not None and data.strip() != b"[DONE]":
            for choice in orjson.loads(data).get("choices") or ():
                found += choice.get("delta", {}).get("content") or ""
    return found
