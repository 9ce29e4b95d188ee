"""What a call turned out to be: one Outcome, made from how its way through the rooms ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.domain.call import Attempt, Call, Outcome, OutcomeKind, Reply
from gateway.domain.errors import ClientStalled, GatewayError, LLMTimeoutError, StreamTruncated
from gateway.domain.guessed import of_stream

# What proxies write into their logs for a client that went away; no client ever sees it.
_CLIENT_LEFT = 499
# Ends that a client can bring about (X-Request-Timeout) while a replica is at work.
_LEFT = (OutcomeKind.CANCELLED, OutcomeKind.TIMEOUT)


@dataclass(slots=True)
class Meter:
    """Follows one call. `clock` gives monotonic seconds; `entered`: it is in the ledger;
    `ending`: its outcome is known, and policies and others still hear of it."""

    call: Call
    clock: Callable[[], float]
    attempts: list[Attempt] = field(default_factory=list)
    reply: Reply | None = None
    error: BaseException | None = None
    entered: bool = False
    ending: bool = False

    def outcome(self) -> Outcome:
        """How it ended. Failed unless there is proof of something better."""
        kind, status, code = self._verdict()
        reply, last = self.reply, self.attempts[-1] if self.attempts else None
        usage = reply.usage if reply else None
        if usage is None and kind in _LEFT and any(one.result in _LEFT for one in self.attempts):
            # The replica has read the prompt: whoever leaves early has not asked for nothing.
            usage = of_stream(self.call.body, 0)
        return Outcome(
            kind=kind,
            status=status,
            code=code,
            detail=self._detail(),
            usage=usage,
            replica=reply.replica if reply else last.replica if last else "",
            model=reply.model if reply else "",
            served_model=reply.served_model if reply else "",
            answer_id=reply.answer_id if reply else "",
            finish_reason=reply.finish_reason if reply else "",
            attempts=tuple(self.attempts),
            seconds=self.clock() - self.call.received,
            first_token_seconds=reply.first_token_seconds if reply else None,
            queue_seconds=self.call.queue_seconds,
            own_seconds=reply.own_seconds if reply else None,
            pace=reply.pace if reply else None,
        )

    def _verdict(self) -> tuple[OutcomeKind, int, str]:
        error = self.error
        if isinstance(error, LLMTimeoutError):
            return OutcomeKind.TIMEOUT, error.status, error.code
        if isinstance(error, StreamTruncated):
            return OutcomeKind.TRUNCATED, error.status, error.code
        if isinstance(error, ClientStalled):
            return OutcomeKind.CANCELLED, error.status, error.code
        if isinstance(error, GatewayError):
            kind = OutcomeKind.REFUSED if error.status < 500 else OutcomeKind.FAILED
            return kind, error.status, error.code
        left = isinstance(error, asyncio.CancelledError | GeneratorExit)
        if self.reply is not None and self.reply.complete and (left or error is None):
            # Whoever leaves after the last byte has had the whole answer.
            return OutcomeKind.COMPLETED, 200, ""
        if left:
            return OutcomeKind.CANCELLED, _CLIENT_LEFT, "client_disconnected"
        return OutcomeKind.FAILED, 500, "internal_error"

    def _detail(self) -> str:
        if isinstance(self.error, GatewayError):
            return self.error.detail
        if self.error is None or isinstance(self.error, asyncio.CancelledError | GeneratorExit):
            return ""
        return f"{type(self.error).__name__}: {self.error}"
