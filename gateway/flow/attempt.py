"""One attempt on one replica: send, wait for the first of the answer, report how it went."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import orjson

from gateway.domain.call import Call, Reply, Usage
from gateway.domain.graft import Unjoinable
from gateway.domain.guessed import of_answer
from gateway.domain.limits import Timeouts
from gateway.domain.outbound import NotOutbound, goes_out, outbound
from gateway.domain.ports import (
    Providers,
    Replica,
    Router,
    Telemetry,
    Wire,
    WireError,
    WireResponse,
)
from gateway.domain.retry import Fault, fault_of, retry_after_seconds
from gateway.domain.sse import EventTooLarge, StreamWatch
from gateway.flow.asking import CONTINUOUS, Ask, choices_of, counts, upstream_body, usage_wanted
from gateway.flow.lease import Lease, Opened
from gateway.flow.stream import Progress, Stream, follow

_ERROR_BYTES = 64 * 1024
_ANSWER_BYTES = 64 * 1024 * 1024
_READABLE = ("", "identity")


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
        providers: Providers | None = None,
    ) -> None:
        self._router = router
        self._wire = wire
        self.telemetry = telemetry
        self._timeouts = timeouts
        self._clock = clock
        self._providers = providers
        self._uncounting: set[str] = set()

    async def make(
        self,
        call: Call,
        replica: Replica,
        number: int,
        ask: Ask | None = None,
        *,
        others: bool = False,
    ) -> Opened:
        """The `number`-th attempt (from 1). AttemptFailed when nothing usable came in time, of
        which a stream gets at most half where there are `others` to try."""
        ask = ask or Ask(call.body, self.deadline(call))
        call.away.leave(self._clock())
        probe = self.telemetry.attempt(call, replica, number)
        lease = Lease(call, replica, self._router, probe, self._clock)
        try:
            patience = self._patience(call, replica, ask, others)
            async with asyncio.timeout(patience) as lease.limit:
                return await self._exchange(lease, ask, number)
        except TimeoutError:
            failed = AttemptFailed(Fault.TIMEOUT, "no answer in time")
        except WireError as error:
            failed = AttemptFailed(error.fault, str(error))
        except EventTooLarge as error:
            failed = AttemptFailed(Fault.GARBAGE, str(error))
        except Unjoinable as error:
            failed = AttemptFailed(Fault.UNSUPPORTED, str(error))
        except AttemptFailed as error:
            failed = error
        except BaseException:
            lease.end("cancelled")
            raise
        finally:
            call.away.back(self._clock())
        counts = None if failed.fault.of_client else failed.fault
        lease.end(failed.fault, counts, failed.retry_after)
        try:
            raise failed
        finally:
            del failed  # which knows this frame: no cycle is left to the garbage collector

    def deadline(self, call: Call) -> float:
        """When an answer must have begun at the latest, in monotonic seconds."""
        return min(call.deadline, call.received + self._timeouts.total)

    def _patience(self, call: Call, replica: Replica, ask: Ask, others: bool) -> float:
        """Seconds until the first event of a stream, or all of a plain answer, must be here."""
        times, left = self._timeouts, max(0.0, ask.begin_by - self._clock())
        if not call.stream:
            return min(left, replica.timeout or times.total)
        known = times.first_token_by_model
        named = known.get(call.model) or known.get(replica.model)
        limit = replica.stream_timeout or named or replica.timeout or times.first_token
        if limit >= left and others:
            # One that hangs must leave the next one time to answer.
            return left / 2
        return min(left, limit)

    async def _exchange(
        self, lease: Lease, ask: Ask, number: int, *, uncounted: bool = False
    ) -> Opened:
        call, replica = lease.call, lease.replica
        count = not uncounted and replica.id not in self._uncounting and counts(call, replica)
        if replica.provider:
            response = await self._translated(lease, ask)
        else:
            url = f"{replica.base_url}/{call.endpoint.upstream}"
            body = upstream_body(call, replica, ask, count=count)
            headers = self._headers(call, lease, number)
            response = await self._wire.send("POST", url, headers=headers, body=body)
        lease.response = response
        if (fault := fault_of(response.status, b"")) is not None:
            failed = await self._refused(response, fault)
            try:
                if not count or CONTINUOUS.encode() not in failed.body:
                    raise failed
            finally:
                del failed  # which knows this frame
            response.release()
            opened = await self._exchange(lease, ask, number, uncounted=True)
            # Only now: a client can make a replica quote that name in a refusal of its own.
            self._uncounting.add(replica.id)
            return opened
        if (coding := response.headers.get("content-encoding", "")).lower() not in _READABLE:
            # Nothing of it could be read, and by chance some of it looks like an event.
            raise AttemptFailed(Fault.GARBAGE, f"an answer in {coding[:20]!r}, which nobody takes")
        if call.stream:
            return await self._open_stream(lease, response, ask)
        return await self._read_plain(lease, response)

    async def _translated(self, lease: Lease, ask: Ask) -> WireResponse:
        """Ask a provider, with what of the request may go there."""
        call, replica = lease.call, lease.replica
        if self._providers is None or ask.reshape is not None or not goes_out(call.endpoint):
            raise AttemptFailed(Fault.UNSUPPORTED, f"not for {replica.provider}")
        try:
            going = outbound(call.endpoint, ask.body)
        except NotOutbound as error:
            told = orjson.dumps({"error": {"message": str(error)}})
            raise AttemptFailed(Fault.REJECTED, str(error), status=400, body=told) from None
        call.note(
            "translated", replica=replica.id, provider=replica.provider, dropped=going.dropped
        )
        return await self._providers.ask(replica, call.endpoint, going.fields, stream=call.stream)

    def _headers(self, call: Call, lease: Lease, number: int) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            # Bytes pass through untouched, so they must be readable as they are.
            "accept-encoding": "identity",
            "user-agent": "vllm-gateway",
            # A replica that still works on an earlier attempt refuses a second one of that name.
            "x-request-id": call.id if number == 1 else f"{call.id}-{number}",
            **lease.replica.headers,
        }
        if lease.replica.api_key:
            headers["authorization"] = f"Bearer {lease.replica.api_key}"
        if lease.probe.traceparent:
            headers["traceparent"] = lease.probe.traceparent
            if call.tracestate:
                headers["tracestate"] = call.tracestate
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
            usage=Usage.read(answer.get("usage")) or of_answer(lease.call.body, answer),
            finish_reason=str(choice.get("finish_reason") or ""),
            stop_reason=choice.get("stop_reason"),
            model=lease.replica.model,
            served_model=str(answer.get("model") or ""),
            answer_id=str(answer.get("id") or ""),
            first_token_seconds=self._clock() - lease.call.received,
            complete=True,
        )
        return Opened(reply, lease)

    async def _open_stream(self, lease: Lease, response: WireResponse, ask: Ask) -> Opened:
        """Wait for the first event, so that a bad stream is known before a client sees it."""
        call = lease.call
        at_end, in_chunks = usage_wanted(call)
        choices = choices_of(call)
        watch = StreamWatch(hide_usage=not at_end, hide_counts=not in_chunks, choices=choices)
        chunks, first = response.chunks(), b""
        while not first and not watch.done and watch.error is None and not watch.babbles:
            chunk = await anext(chunks, None)
            if chunk is None:
                first = watch.end()
                break
            first = watch.feed(chunk)
        if watch.error is not None and not first:
            raise error_in_answer(watch.error)
        if not first:
            fault = Fault.GARBAGE if watch.malformed else Fault.TRUNCATED
            raise AttemptFailed(fault, "a stream without a single event")
        graft = ask.graft() if ask.graft is not None else None
        reply = Reply(
            chunks=_once(b""),
            stream=True,
            replica=lease.replica.id,
            content_type="text/event-stream",
            model=lease.replica.model,
            served_model=watch.model,
            answer_id=watch.id if watch.id != "?" else "",
            first_token_seconds=self._clock() - call.received,
        )
        idle = self._timeouts.idle
        stream = Stream(lease, watch, chunks, graft.feed(first) if graft else first, idle, graft)
        opened = Opened(reply, lease, stream=stream)
        reply.progress = Progress(stream, opened.delivered)
        reply.chunks = follow(opened)
        return opened


def error_in_answer(error: Any) -> AttemptFailed:
    """A failure told inside a 200: vLLM puts the status into `code`."""
    code = error.get("code") if isinstance(error, dict) else None
    status = code if isinstance(code, int) and 400 <= code < 600 else 500
    body = orjson.dumps({"error": error})
    fault = fault_of(status, body) or Fault.SERVER_ERROR
    return AttemptFailed(fault, f"error {status} inside a 200 answer", status=status, body=body)


def _first_choice(answer: dict[str, Any]) -> dict[str, Any]:
    choices = answer.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        return choices[0]
    return {}


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
