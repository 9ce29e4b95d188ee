"""The pipeline inside this process: chat(), chat_stream(), LLMError, LLMTimeoutError.

    async with open_gateway(settings) as gateway:
        answer = await chat(gateway.answers, [{"role": "user", "content": "hi"}], model="coder")
        async for text in chat_stream(gateway.answers, messages, model="coder"):
            print(text, end="")

Every call walks through all rooms: keys, policies, slots, retries, telemetry. /api/ai/* uses it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.domain.body import check
from gateway.domain.call import Call, Reply, Usage
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import LLMError, LLMTimeoutError, StreamTruncated
from gateway.domain.limits import Timeouts
from gateway.domain.ports import Answers, Prepare
from gateway.domain.sse import data_of, events

__all__ = ["Completion", "LLMError", "LLMTimeoutError", "Via", "chat", "chat_stream", "new_call"]

Messages = Sequence[Mapping[str, Any]]


def _ignored(value: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Via:
    """How a door brings a call in. `call` says where it comes from (see `new_call`); `prepare`
    runs once its caller is known, and may change `call.body`; `on_open` is given the Reply before
    any of it is read: its usage and finish reason are filled in at the end."""

    call: Call
    prepare: Prepare | None = None
    on_open: Callable[[Reply], None] = _ignored

    def filling(self, body: dict[str, Any]) -> Prepare:
        """What the pipeline is to do to the call before anything else looks at its body."""

        async def fill(call: Call) -> None:
            call.body, call.stream = body, body["stream"]
            if self.prepare is not None:
                await self.prepare(call)
            check(CHAT, call.body)
            call.model = call.body["model"]

        return fill


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer. `usage` is None when the replica did not count."""

    text: str
    finish_reason: str
    model: str
    replica: str
    attempts: int
    usage: Usage | None
    stop_reason: str | int | None = None


def new_call(timeouts: Timeouts | None = None) -> Call:
    """An empty chat call that begins now, with the deadline of a stream."""
    timeouts = timeouts or Timeouts()
    now = time.monotonic()
    deadline = now + timeouts.stream_total
    return Call(f"req-{uuid.uuid4().hex}", CHAT, "", {}, received=now, deadline=deadline)


async def chat(
    answers: Answers,
    messages: Messages,
    *,
    model: str,
    params: Mapping[str, Any] | None = None,
    via: Via | None = None,
) -> Completion:
    """The whole answer to `messages`. `params` are OpenAI's (temperature, max_tokens …).

    LLMError when no replica answers, LLMTimeoutError when none does in time.
    """
    via = via or Via(new_call())
    body = {**(params or {}), "model": model, "messages": list(messages), "stream": False}
    async with answers.answer(via.call, via.filling(body)) as reply:
        via.on_open(reply)
        choices = _choices(b"".join([chunk async for chunk in reply.chunks]))
        if not choices:
            raise LLMError(detail="the answer has no choices")
        text = (choices[0].get("message") or {}).get("content") or ""
        return completion(reply, text)


async def chat_stream(
    answers: Answers,
    messages: Messages,
    *,
    model: str,
    params: Mapping[str, Any] | None = None,
    via: Via | None = None,
) -> AsyncGenerator[str]:
    """The answer to `messages` in pieces of text, as they come. Ends only after a real finish;
    a stream that is cut raises LLMError. Close it (contextlib.aclosing) to stop the model early."""
    via = via or Via(new_call())
    body = {**(params or {}), "model": model, "messages": list(messages), "stream": True}
    async with answers.answer(via.call, via.filling(body)) as reply:
        via.on_open(reply)
        async with aclosing(_texts(reply)) as texts:
            async for text in texts:
                yield text


async def _texts(reply: Reply) -> AsyncGenerator[str]:
    async for chunk in reply.chunks:
        for event in events(chunk):
            payload = data_of(event)
            if payload is None or payload == b"[DONE]":
                continue
            for choice in _choices(payload):
                if text := (choice.get("delta") or {}).get("content"):
                    yield text


def _choices(payload: bytes) -> list[dict[str, Any]]:
    """Those of an answer, or of one piece of it. StreamTruncated where it cannot be read: the
    engine reads only what it needs to."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        raise StreamTruncated(detail=f"{len(payload)} bytes that are no JSON object")
    return [choice for choice in answer.get("choices") or () if isinstance(choice, dict)]


def completion(reply: Reply, text: str) -> Completion:
    """What a Reply amounts to once it has been read to its end; our own guesses are not told."""
    usage = reply.usage
    return Completion(
        text=text,
        finish_reason=reply.finish_reason,
        model=reply.served_model,
        replica=reply.replica,
        attempts=len(reply.attempts),
        usage=None if usage is None or usage.estimated else usage,
        stop_reason=reply.stop_reason,
    )
