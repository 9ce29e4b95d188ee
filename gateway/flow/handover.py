"""When a stream breaks, another replica of the model goes on with it, unseen: Handover."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.domain.continuation import continued, obstacle, opening, tokens_left
from gateway.domain.delivered import Delivered
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import GatewayError
from gateway.domain.graft import Graft
from gateway.domain.metrics import HANDOVERS, MALFORMED_EVENTS
from gateway.domain.ports import Replica, Telemetry
from gateway.domain.retry import Fault
from gateway.domain.seam import Seam
from gateway.domain.sse import encode
from gateway.flow.asking import Ask
from gateway.flow.attempt import AttemptFailed
from gateway.flow.herd import MOST_COUNTS
from gateway.flow.lease import Opened
from gateway.flow.stream import Broken, Progress
from gateway.flow.walk import Gear, Walk

# A client waits at the seam while tokens are counted: an estimate now beats a count later.
_COUNT_SECONDS = 0.5
# A replica that has brought an answer so far forward did not break on it at its first step.
_PROGRESS_PIECES = 8
# Hand-overs of one call in all, as a multiple of those that bring it no further.
_IN_ALL = 4


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to go on: `sent` is what the next replica is given of the answer, `tokens` long; ""
    begins again. `trailing` is the white space that was shown after it."""

    sent: str = ""
    trailing: str = ""
    tokens: int = 0

    @property
    def kind(self) -> str:
        """A word for the record and the metric."""
        return "continued" if self.sent else "restarted"


class Handover:
    """Satisfies Rescue for one call, whose replicas `walk` knows; `body` is what it asked them."""

    def __init__(self, gear: Gear, walk: Walk, body: Mapping[str, Any]) -> None:
        self._gear = gear
        self._walk = walk
        self._body = body
        self._count = self._in_vain = 0
        self._pieces = 0
        self._further = False

    async def __call__(self, opened: Opened, broken: Broken) -> bytes | None:
        """See Rescue. At most `rule.limit` times in a row to replicas that bring the answer no
        further: a request that kills whoever serves it must not go round. A long answer may
        outlive more replicas than that."""
        lease, fault = opened.lease, broken.fault
        assert fault is not None  # a deadline is nobody's to mend
        lease.end(fault, None if fault.of_client else fault)
        self._walk.made.append(lease.seen(fault))
        count_malformed(opened, self._gear.attempts.telemetry)
        async with self._gear.herd.turn():
            opened.delivered.read()
        if not self._may_go_on(opened.delivered):
            self._tell(opened, "failed", fault, why=f"{self._count} hand-overs")
            raise broken.error from None
        self._count += 1
        if why := self._unsafe(opened, fault):
            self._tell(opened, "unsafe", fault, why=why)
            raise broken.error from None
        plan = await self._plan(opened)
        merged = {**lease.replica.params, **self._body}
        left = tokens_left(lease.call.endpoint, merged, plan.tokens)
        if plan.sent and left is not None and left <= 0:
            self._tell(opened, "finished", fault, tokens=plan.tokens)
            return self._finish(opened)
        await self._go_on(opened, plan, broken)
        return None

    def _may_go_on(self, delivered: Delivered) -> bool:
        limit, before = self._gear.rule.limit, self._pieces
        self._pieces = delivered.pieces
        further = self._count and delivered.pieces - before >= _PROGRESS_PIECES
        self._further = bool(further)
        self._in_vain = 1 if further else self._in_vain + 1
        return self._in_vain <= limit and self._count < limit * _IN_ALL

    def _unsafe(self, opened: Opened, fault: Fault) -> str:
        """Why nobody can go on; "" when somebody may."""
        delivered, lease = opened.delivered, opened.lease
        if fault.of_client:
            return str(fault)
        if not delivered.shown:
            return ""
        if delivered.beyond or delivered.finished:
            return delivered.beyond or "a finished choice"
        if lease.replica.provider:
            return "a provider's answer"
        return obstacle(lease.call.endpoint, {**lease.replica.params, **self._body})

    async def _plan(self, opened: Opened) -> _Plan:
        delivered = opened.delivered
        sent = delivered.text.rstrip()
        trailing = delivered.text[len(sent) :]
        if not sent:
            return _Plan(trailing=trailing)
        return _Plan(sent, trailing, await self._tokens(opened, sent))

    async def _tokens(self, opened: Opened, sent: str) -> int:
        """Tokens of `sent`: by the replica's own count, else the tokenizer's, else a piece each."""
        counter, herd, delivered = self._gear.means.tokens, self._gear.herd, opened.delivered
        if delivered.tokens is not None:
            return delivered.tokens
        told = opened.stream.used if opened.stream is not None else None
        if told is not None and told.completion and sent == delivered.text:
            return told.completion
        if counter is None or herd.counting >= MOST_COUNTS:
            return delivered.pieces
        herd.counting += 1
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                (counted,) = await counter.count_texts(self._walk.model, [sent])
        except (TimeoutError, GatewayError):
            return delivered.pieces
        finally:
            herd.counting -= 1
        return counted.tokens if counted.exact else delivered.pieces

    async def _go_on(self, opened: Opened, plan: _Plan, broken: Broken) -> None:
        """Put another replica's stream into `opened`; `broken.error` when there is none."""
        lease, delivered = opened.lease, opened.delivered
        endpoint, fault = lease.call.endpoint, broken.fault or Fault.BROKEN
        merged = {**lease.replica.params, **self._body}
        whole = opening(endpoint, merged, plan.sent) if plan.sent else ""

        def reshape(body: dict[str, Any]) -> dict[str, Any]:
            return continued(endpoint, body, plan.sent, plan.tokens)

        def graft() -> Graft:
            seam = Seam(whole, plan.trailing)
            told = (delivered.identity, delivered.roles, seam)
            return Graft(*told, tokens=plan.tokens, strict=bool(plan.sent))

        ask = Ask(self._body, lease.call.deadline, reshape if plan.sent else None, graft)
        failed = AttemptFailed(fault, str(broken))
        try:
            fresh = await self._walk.again(ask, failed, lease.replica, further=self._further)
        except AttemptFailed as error:
            self._tell(opened, "failed", fault, why=str(error.fault))
            raise broken.error from error
        opened.lease, opened.stream, opened.fault = fresh.lease, fresh.stream, None
        opened.reply.replica = fresh.lease.replica.id
        if fresh.stream is not None:
            opened.reply.progress = Progress(fresh.stream, delivered)
        self._tell(opened, plan.kind, fault, origin=lease.replica, tokens=plan.tokens)

    def _finish(self, opened: Opened) -> bytes:
        """The end of an answer that had all of its tokens already."""
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length", "text": ""}
        if opened.lease.call.endpoint is CHAT:
            choice["delta"] = {}
            del choice["text"]
        opened.reply.finish_reason = "length"
        return encode(orjson.dumps({**opened.delivered.identity, "choices": [choice]}))

    def _tell(
        self,
        opened: Opened,
        result: str,
        fault: Fault,
        *,
        origin: Replica | None = None,
        **facts: object,
    ) -> None:
        """Into the record and the metric. `origin` is the broken replica, once another is there."""
        replica = opened.lease.replica
        if origin is not None:
            facts["to"] = replica.id
        facts["from"] = (origin or replica).id
        opened.lease.call.note("hand_over", result=result, fault=str(fault), **facts)
        self._gear.attempts.telemetry.count(HANDOVERS, result)


def count_malformed(opened: Opened, telemetry: Telemetry) -> None:
    """Tell how many events of the replica's stream were none; once."""
    if opened.stream is None:
        return
    watch = opened.stream.watch
    for _ in range(watch.malformed):
        telemetry.count(MALFORMED_EVENTS, opened.lease.replica.id)
    watch.malformed = 0
