"""Room 5: choose a replica, try, retry, fall back; and say in public words why nothing worked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson

from gateway.domain.call import Attempt, Call, Reply
from gateway.domain.errors import (
    GatewayError,
    LLMError,
    LLMTimeoutError,
    ModelNotFound,
    RejectedByReplica,
    ReplicaBusy,
)
from gateway.domain.ports import Replica, Router
from gateway.domain.retry import Fault, RetryRule
from gateway.flow.attempt import AttemptFailed, Attempts
from gateway.flow.lease import Opened

_MESSAGE_CHARS = 2000


class Engine:
    """`clock` gives monotonic seconds, `random` a number in [0, 1)."""

    def __init__(
        self,
        router: Router,
        attempts: Attempts,
        rule: RetryRule,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._router = router
        self._attempts = attempts
        self._rule = rule
        self._clock = clock
        self._random = random

    def check(self, call: Call) -> None:
        """ModelNotFound when nobody here has `call.model`; LLMError while no model is known."""
        if not self._router.models():
            raise LLMError(detail="no model is known yet: no replica has answered", retry_after=2.0)
        if not self._router.replicas(call.model):
            raise ModelNotFound(
                f"The model {call.model[:80]!r} does not exist here; GET /v1/models lists those "
                "that do.",
                param="model",
            )

    @asynccontextmanager
    async def open(self, call: Call, made: list[Attempt]) -> AsyncIterator[Reply]:
        """The answer to `call`, begun. Every attempt is added to `made`. Leaving the block before
        the answer is complete closes the upstream connection; either way all load is given back.
        GatewayError when no replica answered, or the request itself is wrong."""
        opened = await self._any_model(call, made)
        chunks = opened.reply.chunks
        try:
            yield opened.reply
        finally:
            # First, because a client may leave while the rest is awaited.
            result = "ok" if opened.reply.complete else str(opened.fault or "cancelled")
            made.append(opened.lease.seen(result))
            opened.reply.attempts = tuple(made)
            await opened.end()
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _any_model(self, call: Call, made: list[Attempt]) -> Opened:
        models, seen = [call.model], set[str]()
        failed: tuple[AttemptFailed, Replica | None] | None = None
        while models:
            model = models.pop(0)
            if model in seen:
                continue
            seen.add(model)
            run = _Run(self._router, self._attempts, self._rule, self._clock, self._random)
            try:
                opened = await run.walk(call, model, made)
            except AttemptFailed as error:
                failed = (error, run.last)
                models += self._router.fallbacks(model, error.fault)
            else:
                opened.reply.attempts = (*made, opened.lease.seen("ok"))
                return opened
        assert failed is not None  # the loop has run at least once
        raise public_error(call, *failed) from failed[0]


class _Run:
    """The attempts of one call within one model."""

    def __init__(
        self,
        router: Router,
        attempts: Attempts,
        rule: RetryRule,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._router, self._attempts, self._rule = router, attempts, rule
        self._clock, self._random = clock, random
        self._tried: set[str] = set()
        self._waits = 0
        self.last: Replica | None = None

    async def walk(self, call: Call, model: str, made: list[Attempt]) -> Opened:
        """Attempts until one works, the rule forbids more, or the time is up. Another replica is
        tried at once; one that failed already only after a back-off."""
        failed: AttemptFailed | None = None
        for number in range(1, self._rule.limit + 2):
            replica = await self._choose(call, model, failed)
            self.last = replica
            began = self._clock()
            try:
                return await self._attempts.make(call, replica, len(made) + 1)
            except AttemptFailed as error:
                made.append(Attempt(replica.id, error.fault, self._clock() - began))
                self._tried.add(replica.id)
                failed = error
                spent = self._clock() >= self._attempts.deadline(call)
                if spent or not error.fault.elsewhere or number > self._rule.limit:
                    raise
            except BaseException:
                made.append(Attempt(replica.id, "cancelled", self._clock() - began))
                raise
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _choose(self, call: Call, model: str, failed: AttemptFailed | None) -> Replica:
        replica = await self._router.pick(call, model, self._tried)
        if replica is not None:
            return replica
        if failed is None or self.last is None:
            raise AttemptFailed(Fault.CONNECT, f"no replica of {model!r} is in rotation")
        if not failed.fault.retryable:
            raise failed
        self._waits += 1
        pause = self._rule.delay(self._waits, self._random())
        if self._clock() + pause >= self._attempts.deadline(call):
            raise failed
        await asyncio.sleep(pause)
        # All have failed once: begin again with whoever is in rotation, or else with the last.
        self._tried.clear()
        return await self._router.pick(call, model, ()) or self.last


def public_error(call: Call, failed: AttemptFailed, replica: Replica | None) -> GatewayError:
    """What the client is told of a failure: its own mistakes in full, our troubles never."""
    fault = failed.fault
    where = replica.id if replica else "no replica"
    detail = f"{where}: {fault}: {failed.detail}"
    if fault is Fault.TIMEOUT:
        return LLMTimeoutError(detail=detail)
    if fault is Fault.RATE_LIMITED:
        return ReplicaBusy(detail=detail, retry_after=failed.retry_after or 1.0)
    if fault is Fault.UNSUPPORTED:
        what = f"The model {call.model!r} does not offer {call.endpoint.path}."
        return RejectedByReplica(what, status=400, code="unsupported_by_model")
    if fault.of_client:
        return _rejected(failed, replica)
    return LLMError(detail=detail, retry_after=failed.retry_after or 1.0)


def _rejected(failed: AttemptFailed, replica: Replica | None) -> RejectedByReplica:
    """The replica's own 4xx in OpenAI's shape: its message is about what the client sent."""
    message = param = None
    try:
        answer = orjson.loads(failed.body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict):
        inner = answer.get("error")
        error = inner if isinstance(inner, dict) else answer
        message, param = error.get("message"), error.get("param")
    text = message if isinstance(message, str) and message else RejectedByReplica.default_public
    if replica is not None and replica.api_key:
        text = text.replace(replica.api_key, "***")
    code = {
        Fault.CONTEXT_WINDOW: "context_length_exceeded",
        Fault.CONTENT_POLICY: "content_policy_violation",
    }.get(failed.fault, RejectedByReplica.code)
    return RejectedByReplica(
        text[:_MESSAGE_CHARS],
        status=failed.status or 400,
        code=code,
        param=param if isinstance(param, str) else None,
    )
