"""Providers that do not speak OpenAI's API: LiteLLM translates, and it looks like our wire.

Satisfies ports.Providers. LiteLLM is kept from what is ours: it makes one attempt, calls nobody
back, and its texts, which quote bodies and addresses, go nowhere.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from gateway.adapters.litellm_sdk import GLOBAL_LOGGING_WORKER, exceptions, litellm
from gateway.adapters.provider_events import StreamEvents, plain
from gateway.adapters.whole_body import whole_body
from gateway.domain.endpoints import CHAT, EMBEDDINGS, Endpoint
from gateway.domain.ports import Replica, WireError, WireResponse
from gateway.domain.retry import Fault
from gateway.domain.sse import DONE

# Ours are the time limits, all shorter; without one of its own LiteLLM takes a provider's default.
_PATIENCE_SECONDS: Final = 3600.0
_OURS: Final[Mapping[str, Any]] = {
    "num_retries": 0,
    "max_retries": 0,
    "timeout": _PATIENCE_SECONDS,
    "drop_params": True,  # what this provider has no word for
    "no-log": True,
    "fallbacks": None,
    "caching": False,
}
# What the client is told of a 4xx, for the kinds that have words of their own elsewhere.
_CODES: Final = (
    (exceptions.ContextWindowExceededError, "context_length_exceeded"),
    (exceptions.ContentPolicyViolationError, "content_policy_violation"),
)
_REFUSED: Final = "The model's provider refused the request."


class LiteLLMProviders:
    """Use inside a running event loop; `close` when no more is asked."""

    def __init__(self) -> None:
        self._closing: set[asyncio.Task[None]] = set()
        self._used = False

    async def ask(
        self, replica: Replica, endpoint: Endpoint, fields: Mapping[str, Any], *, stream: bool
    ) -> WireResponse:
        """See ports.Providers."""
        given = {**replica.options, **fields, **_OURS}
        if stream:
            given |= {"stream": True, "stream_options": {"include_usage": True}}
        if endpoint not in (CHAT, EMBEDDINGS):
            return Told(501)
        self._used = True
        try:
            if endpoint is CHAT:
                # It would look for tools of its proxy's, with packages that are not installed.
                answer = await litellm.acompletion(**given, _skip_mcp_handler=True)
            else:
                answer = await litellm.aembedding(**given)
            if stream:
                return ProviderStream(answer, replica.upstream_model, self._later)
            return Told(200, plain(answer.model_dump(), replica.upstream_model))
        # Marked edge: translations raise whatever their code meets.
        except Exception as error:
            return refused(error)

    def _later(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(ending)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close LiteLLM's connections of this event loop."""
        if not self._used:
            return
        await asyncio.gather(*self._closing, return_exceptions=True)
        await GLOBAL_LOGGING_WORKER.stop()
        kept = litellm.in_memory_llm_clients_cache.cache_dict
        mark = f"-{id(asyncio.get_running_loop())}"
        ours = [kept.pop(key) for key in [key for key in kept if key.endswith(mark)]]
        # One that all loops share: whoever comes next makes a new one.
        ours.append(vars(litellm).pop("module_level_aclient", None))
        for client in filter(None, ours):
            with suppress(Exception):  # a marked edge: it is of no use any more
                await client.close()


class Told:
    """An answer that is here in whole."""

    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self._body = body

    async def read(self, limit: int) -> bytes:
        """See WireResponse."""
        if len(self._body) > limit:
            raise WireError(Fault.GARBAGE, f"answer is longer than {limit} bytes")
        return self._body

    async def chunks(self) -> AsyncIterator[bytes]:
        """See WireResponse."""
        yield self._body

    def release(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


class ProviderStream:
    """A stream of LiteLLM's as OpenAI's events. `later` runs what closing takes."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, stream: Any, model: str, later: Any) -> None:
        self._stream = stream
        self._later = later
        self._events = StreamEvents(model)
        self._ended = False

    async def read(self, limit: int) -> bytes:
        """See WireResponse."""
        return await whole_body(self.chunks(), limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See WireResponse. LiteLLM ends a stream that was cut with a finish_reason that nobody
        sent: that one is left out, and `[DONE]` with it."""
        finished = False
        try:
            async for chunk in self._stream:
                told = chunk.model_dump(exclude_none=True)
                if any(one.get("finish_reason") for one in told.get("choices") or ()):
                    if not _really_finished(self._stream):
                        return
                    finished = True
                if events := self._events.of(told):
                    yield events
        # Marked edge: translations raise whatever their code meets.
        except Exception as error:
            raise broken(error) from None
        self._ended = True
        if finished:
            yield self._events.end() + DONE

    def release(self) -> None:
        """LiteLLM keeps a connection that was read to its end; any other is closed."""
        if not self._ended:
            self.close()

    def close(self) -> None:
        """Drop the connection, in the next moment of the event loop."""
        stream, self._stream = self._stream, _NOTHING
        if stream is not _NOTHING:
            self._later(_hang_up(stream))


_NOTHING: Final = object()


async def _hang_up(stream: Any) -> None:
    source = getattr(stream, "completion_stream", None)
    lines = getattr(source, "streaming_response", None)
    with suppress(Exception):  # a marked edge: it is being thrown away
        await stream.aclose()
    # Some translations (Anthropic's) let go of the response without closing it.
    if inspect.isasyncgen(lines):
        with suppress(Exception):
            await lines.aclose()


def _really_finished(stream: Any) -> bool:
    """Whether the provider itself has said why the answer ended."""
    words = ("received_finish_reason", "intermittent_finish_reason")
    told = [getattr(stream, word) for word in words if hasattr(stream, word)]
    return not told or any(told)


def refused(error: Exception) -> WireResponse:
    """An exception in place of an answer, as the HTTP answer that it stands for. WireError where
    there was none."""
    if isinstance(error, exceptions.LiteLLMUnknownProvider):
        return Told(501)  # it has this provider, but not for this endpoint
    status = _status(error)
    if status is None:
        raise broken(error) from None
    headers = getattr(error, "litellm_response_headers", None) or {}
    wait = headers.get("retry-after")
    code = next((word for kind, word in _CODES if isinstance(error, kind)), None)
    body = orjson.dumps({"error": {"message": _REFUSED, "code": code}})
    return Told(status, body, {"retry-after": str(wait)} if wait else {})


def broken(error: Exception) -> WireError:
    """The fault of an answer that broke off. Only the exception's kind is told."""
    error = getattr(error, "original_exception", None) or error
    name = f"LiteLLM's {type(error).__name__}"
    status = _status(error)
    if status is None:
        return WireError(Fault.BROKEN, name)
    if status in (408, 504):
        return WireError(Fault.TIMEOUT, name)
    return WireError(Fault.RATE_LIMITED if status == 429 else Fault.SERVER_ERROR, name)


def _status(error: Exception) -> int | None:
    """The HTTP status that the provider answered; None where it did not, or not in HTTP."""
    if isinstance(error, exceptions.APIConnectionError):
        return None
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) and 400 <= status < 600 else None
