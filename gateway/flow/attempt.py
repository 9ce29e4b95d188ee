"""One attempt on one replica: send, wait for the first of the answer, report how it went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import orjson

from gateway.domain.call import Call, Reply, Usage
from gateway.domain.errors import LLMTimeoutError, StreamTruncated
from gateway.domain.limits import Timeouts
from gateway.domain.ports import Replica, Router, Telemetry, Wire, WireError, WireResponse
from gateway.domain.retry import Fault, fault_of, retry_after_seconds
from gateway.domain.sse import DONE, EventTooLarge, StreamWatch
from gateway.flow.lease import Lease, Opened

_ERROR_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024 * 1024
_DRAIN_SECONDS = 0.05


class AttemptFailed(Exception):
    """An attempt gave nothing that the client has seen. `body` is the replica's own error."""

    def __init__(
        self,
        fault: Fault,
        detail: str,
        *,
        status: int = 0,
        body: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail
        self.status = status
        self.body = body
        self.retry_after = retry_after


class Attempts:
    """Makes attempts. `clock` gives monotonic seconds."""

    def __init__(
        self,
        router: Router,
        wire: Wire,
        telemetry: Telemetry,
        timeouts: Timeouts,
        clock: Callable[[], float],
    ) -> None:
        self._router = router
        self._wire = wire
        self._telemetry = telemetry
        self._timeouts = timeouts
        self._clock = clock

    async def make(self, call: Call, replica: Replica, number: int) -> Opened:
        """The `number`-th attempt (from 1). AttemptFailed when nothing usable came in time."""
        probe = self._telemetry.attempt(call, replica, number)
        lease = Lease(call, replica, self._router, probe, self._clock)
        try:
            async with asyncio.timeout(self._patience(call, replica)):
                return await self._exchange(call, lease)
        except TimeoutError:
            failed = AttemptFailed(Fault.TIMEOUT, "no answer in time")
        except WireError as error:
            failed = AttemptFailed(error.fault, str(error))
        except EventTooLarge as error:
            failed = AttemptFailed(Fault.GARBAGE, str(error))
        except AttemptFailed as error:
            failed = error
        except BaseException:
            lease.end("cancelled")
            raise
        counts = None if failed.fault.of_client else failed.fault
        lease.end(failed.fault, counts, failed.retry_after)
        raise failed

    def deadline(self, call: Call) -> float:
        """When an answer must have begun at the latest, in monotonic seconds."""
        return min(call.deadline, call.received + self._timeouts.total)

    def _patience(self, call: Call, replica: Replica) -> float:
        """Seconds until the first event of a stream, or all of a plain answer, must be here."""
        times = self._timeouts
        left = self.deadline(call) - self._clock()
        own = replica.stream_timeout if call.stream else None
        limit = own or replica.timeout or (times.first_token if call.stream else times.total)
        return max(0.0, min(left, limit))

    async def _exchange(self, call: Call, lease: Lease) -> Opened:
        url = f"{lease.replica.base_url}/{call.endpoint.upstream}"
        response = await self._wire.send(
            "POST", url, headers=self._headers(call, lease), body=upstream_body(call, lease.replica)
        )
        lease.response = response
        if (fault := fault_of(response.status, b"")) is not None:
            raise await self._refused(response, fault)
        if call.stream:
            return await self._open_stream(call, lease, response)
        return await self._read_plain(lease, response)

    def _headers(self, call: Call, lease: Lease) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            # Bytes pass through untouched, so they must be readable as they are.
            "accept-encoding": "identity",
            "user-agent": "vllm-gateway",
            "x-request-id": call.id,
            **lease.replica.headers,
        }
        if lease.replica.api_key:
            headers["authorization"] = f"Bearer {lease.replica.api_key}"
        if lease.probe.traceparent:
            headers["traceparent"] = lease.probe.traceparent
        return headers

    async def _refused(self, response: WireResponse, fault: Fault) -> AttemptFailed:
        body = b""
        if fault is not Fault.SERVER_ERROR:
            # If it cannot be read (vLLM may quote a long request in it), the status says enough.
            with suppress(WireError):
                body = await response.read(_ERROR_BYTES)
            fault = fault_of(response.status, body) or fault
        # Retry-After may be a date, and only wall time can be held against that.
        wait = retry_after_seconds(response.headers.get("retry-after"), time.time())
        detail = f"replica answered {response.status}"
        return AttemptFailed(fault, detail, status=response.status, body=body, retry_after=wait)

    async def _read_plain(self, lease: Lease, response: WireResponse) -> Opened:
        body = await response.read(_ANSWER_BYTES)
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise AttemptFailed(Fault.GARBAGE, f"{len(body)} bytes that are not JSON") from None
        if not isinstance(answer, dict):
            raise AttemptFailed(Fault.GARBAGE, "a JSON answer that is no object")
        if answer.get("error") and not answer.get("choices"):
            raise error_in_answer(answer["error"])
        choice = _first_choice(answer)
        reply = Reply(
            chunks=_once(body),
            stream=False,
            replica=lease.replica.id,
            usage=Usage.read(answer.get("usage")),
            finish_reason=str(choice.get("finish_reason") or ""),
            stop_reason=choice.get("stop_reason"),
            served_model=str(answer.get("model") or ""),
            first_token_seconds=self._clock() - lease.call.received,
            complete=True,
        )
        return Opened(reply, lease)

    async def _open_stream(self, call: Call, lease: Lease, response: WireResponse) -> Opened:
        """Wait for the first event, so that a bad stream is known before a client sees it."""
        asked = (call.body.get("stream_options") or {}).get("include_usage")
        watch = StreamWatch(hide_usage=not asked)
        chunks = response.chunks()
        first = b""
        while not first and not watch.done and watch.error is None:
            chunk = await anext(chunks, None)
            if chunk is None:
                first = watch.end()
                break
            first = watch.feed(chunk)
        if watch.error is not None and not first:
            raise error_in_answer(watch.error)
        if not first:
            raise AttemptFailed(Fault.TRUNCATED, "a stream without a single event")
        reply = Reply(
            chunks=_once(b""),
            stream=True,
            replica=lease.replica.id,
            content_type="text/event-stream",
            served_model=watch.model,
            first_token_seconds=self._clock() - call.received,
        )
        opened = Opened(reply, lease)
        reply.chunks = self._follow(opened, watch, first, chunks)
        return opened

    async def _follow(
        self, opened: Opened, watch: StreamWatch, first: bytes, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        """The stream from its first events to `[DONE]`, which is sent only after a real finish."""
        yield first
        reply = opened.reply
        while not watch.done and watch.error is None:
            chunk = await self._next(opened, chunks)
            whole = watch.end() if chunk is None else watch.feed(chunk)
            _note(reply, watch)
            if whole:
                yield whole
            if chunk is None:
                break
        _note(reply, watch)
        if watch.error is not None:
            opened.fault = Fault.SERVER_ERROR
            raise StreamTruncated(detail="the replica sent an error event in its stream")
        if not watch.finish_reason:
            opened.fault = Fault.TRUNCATED
            raise StreamTruncated(detail="the stream ended without a finish_reason")
        reply.complete = True
        yield DONE
        # A connection that has been read to its end can be used again; one that stays open
        # after [DONE] is not worth waiting for.
        with suppress(TimeoutError, WireError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await anext(chunks, None)

    async def _next(self, opened: Opened, chunks: AsyncIterator[bytes]) -> bytes | None:
        """The next chunk, None at the end. LLMTimeoutError on a stall or at the deadline,
        StreamTruncated when the connection breaks."""
        left = opened.lease.call.deadline - self._clock()
        idle = self._timeouts.idle
        try:
            async with asyncio.timeout(max(0.0, min(idle, left))):
                return await anext(chunks, None)
        except TimeoutError:
            # Only a stall is the replica's fault; a deadline is the client's or the operator's.
            opened.fault = Fault.TIMEOUT if idle < left else None
            detail = f"no chunk for {idle:g} s" if idle < left else "the stream's time is up"
            raise LLMTimeoutError(detail=detail) from None
        except (WireError, EventTooLarge) as error:
            opened.fault = Fault.BROKEN
            raise StreamTruncated(detail=str(error)) from None


def upstream_body(call: Call, replica: Replica) -> bytes:
    """The client's body with the replica's own model name and fixed parameters; a stream is asked
    to say its usage at the end."""
    body = {**replica.params, **call.body, "model": replica.upstream_model}
    if call.stream:
        body["stream_options"] = {**(call.body.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(body)


def error_in_answer(error: Any) -> AttemptFailed:
    """A failure told inside a 200: vLLM puts the status into `code`."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    body = orjson.dumps({"error": error})
    fault = fault_of(status, body) or Fault.SERVER_ERROR
    return AttemptFailed(fault, f"error {status} inside a 200 answer", status=status, body=body)


def _note(reply: Reply, watch: StreamWatch) -> None:
    """What the stream has said of its end so far."""
    reply.usage = watch.usage
    reply.finish_reason = watch.finish_reason
    reply.stop_reason = watch.stop_reason


def _first_choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    return {}


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
