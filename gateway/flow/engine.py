"""Room 5: choose a replica, try, retry, fall back; and say in public words why nothing worked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson

from gateway.domain.answer_metrics import FALLBACKS
from gateway.domain.call import Attempt, Call, Reply
from gateway.domain.errors import (
    ContextLengthExceeded,
    GatewayError,
    LLMError,
    LLMTimeoutError,
    ModelNotFound,
    RejectedByReplica,
    ReplicaBusy,
)
from gateway.domain.ports import Fallback, Replica, Router
from gateway.domain.retry import Fault, RetryRule
from gateway.flow.asking import Ask
from gateway.flow.attempt import AttemptFailed, Attempts
from gateway.flow.handover import Handover, count_malformed
from gateway.flow.lease import Opened
from gateway.flow.stream import note_end
from gateway.flow.walk import Gear, Means, Walk

_MESSAGE_CHARS = 2000


class Engine:
    """`clock` gives monotonic seconds, `random` a number in [0, 1); `means` is what may be spent
    beyond a first attempt."""

    def __init__(
        self,
        router: Router,
        attempts: Attempts,
        rule: RetryRule,
        *,
        clock: Callable[[], float],
        random: Callable[[], float],
        means: Means | None = None,
    ) -> None:
        self._router = router
        self._attempts = attempts
        self._gear = Gear(router, attempts, rule, clock, random, means or Means())

    def check(self, call: Call) -> tuple[Replica, ...]:
        """The replicas of `call.model`, as of now. ModelNotFound when nobody here has it; LLMError
        while no model is known."""
        if not self._router.models():
            raise LLMError(detail="no model is known yet: no replica has answered", retry_after=2.0)
        if not (replicas := self._router.replicas(call.model)):
            raise ModelNotFound(
                f"The model {call.model[:80]!r} does not exist here; GET /v1/models lists those "
                "that do.",
                param="model",
            )
        return replicas

    async def fit(self, call: Call) -> None:
        """ContextLengthExceeded when the prompt is too long for `call.model` and no other model
        is to be tried then: it need not wait for a slot to hear that."""
        excess = await self._excess(call, call.model, call.body)
        if excess is not None and not self._router.fallbacks(call.model, Fault.CONTEXT_WINDOW):
            raise excess

    async def _excess(
        self, call: Call, model: str, body: Mapping[str, Any]
    ) -> ContextLengthExceeded | None:
        window = self._gear.means.window
        return await window.excess(call, model, body) if window is not None else None

    @asynccontextmanager
    async def open(
        self, call: Call, made: list[Attempt], known: Sequence[Replica] = ()
    ) -> AsyncIterator[Reply]:
        """The answer to `call`, begun. Every attempt is added to `made`. Leaving the block before
        the answer is complete closes the upstream connection; either way all load is given back.
        GatewayError when no replica answered, or the request itself is wrong. `known` is what
        `check` said: if a reload takes the model away, these still answer this call."""
        if (budget := self._gear.means.budget) is not None:
            budget.request()
        opened = await self._any_model(call, made, known)
        away = call.queue_seconds + call.away.seconds
        opened.reply.own_seconds = max(0.0, self._gear.clock() - call.received - away)
        chunks = opened.reply.chunks
        try:
            yield opened.reply
        finally:
            # First, because a client may leave while the rest is awaited.
            if not opened.lease.ended:  # else a hand-over has told of it
                result = "ok" if opened.reply.complete else str(opened.fault or "cancelled")
                made.append(opened.lease.seen(result))
            opened.reply.attempts = tuple(made)
            await opened.end()
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
            if opened.reply.usage is None:
                note_end(opened)  # nobody has begun to read the chunks
            count_malformed(opened, self._attempts.telemetry)

    async def _any_model(self, call: Call, made: list[Attempt], known: Sequence[Replica]) -> Opened:
        models, seen = [Fallback(call.model)], set[str]()
        failed: tuple[AttemptFailed, Replica | None] | None = None
        begin_by = self._attempts.deadline(call)
        while models:
            chosen = models.pop(0)
            if chosen.model in seen:
                continue
            if seen and failed is not None:
                fault = str(failed[0].fault)
                call.note("fallback", model=chosen.model, after=fault)
                self._attempts.telemetry.count(FALLBACKS, call.model, chosen.model, fault)
            seen.add(chosen.model)
            own = known if chosen.model == call.model else ()
            walk = Walk(self._gear, call, chosen.model, made, own)
            body = {**call.body, **chosen.params} if chosen.params else call.body
            try:
                if (excess := await self._excess(call, chosen.model, body)) is not None:
                    raise AttemptFailed(Fault.CONTEXT_WINDOW, str(excess)) from excess
                opened = await walk.first(Ask(body, begin_by))
            except AttemptFailed as error:
                # Its traceback knows this frame: a cycle, left to the garbage collector.
                failed = (error.with_traceback(None), walk.last)
                models += self._router.fallbacks(chosen.model, error.fault)
            else:
                opened.rescue = Handover(self._gear, walk, body) if call.stream else None
                opened.reply.attempts = (*made, opened.lease.seen("ok"))
                return opened
        assert failed is not None  # the loop has run at least once
        if isinstance(failed[0].__cause__, ContextLengthExceeded):
            raise failed[0].__cause__
        raise public_error(call, *failed) from failed[0]


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
    # vLLM says 400 to a prompt that is too long: one thing has one status here.
    too_long = failed.fault is Fault.CONTEXT_WINDOW
    return RejectedByReplica(
        text[:_MESSAGE_CHARS],
        status=ContextLengthExceeded.status if too_long else failed.status or 400,
        code=code,
        param=param if isinstance(param, str) else None,
    )
