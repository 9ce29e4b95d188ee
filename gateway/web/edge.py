"""What every request passes first: an id, a limit of bytes, and a last net for errors. All ASGI."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import Any

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.domain.errors import BodyTooLarge, GatewayError, OutOfDescriptors
from gateway.web.connection import is_crowded
from gateway.web.door import request_id

_log = logging.getLogger("gateway.web")
ALWAYS = frozenset({"/healthz", "/readyz", "/metrics"})
"""What operators ask, and are answered whatever the gateway refuses to everybody else."""


def error_headers(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Headers of an error answer: its type, and when to come back if that is known."""
    headers = [(b"content-type", b"application/json")]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_after(error.retry_after)))
    if isinstance(error, OutOfDescriptors):
        headers.append((b"connection", b"close"))  # an idle one would keep another client out
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return headers


def retry_after(seconds: float) -> int:
    """As the header Retry-After says it: whole seconds, at least one."""
    return max(1, round(seconds + 0.49))


class ErrorResponse(Response):
    """An error answer in OpenAI's shape."""

    def __init__(self, error: GatewayError, call_id: str) -> None:
        super().__init__(orjson.dumps(error.body(call_id)), status_code=error.status)
        length = (b"content-length", b"%d" % len(self.body))
        self.raw_headers = [*error_headers(error), length]


async def send_error(
    send: Send,
    error: GatewayError,
    call_id: str,
    added: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """The whole of an error answer, with these headers besides its own."""
    response = ErrorResponse(error, call_id)
    start = {"type": "http.response.start", "status": response.status_code}
    known = {name for name, _ in response.raw_headers}
    headers = [*response.raw_headers, *(one for one in added if one[0] not in known)]
    await send({**start, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def last(send: Send) -> Send:
    """`send` for the answer with which the connection is to end."""

    async def send_last(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return send_last


class RequestId:
    """Gives each request an id (`scope["state"]["request_id"]`) and each answer its
    `x-request-id` header; and answers 500 in OpenAI's shape where nothing else did."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call_id = request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = call_id
        started = False

        # No coroutine of its own: each chunk of a stream comes through here.
        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = call_id
            return send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            # A marked edge: the last net. What escaped is a defect of ours; the log has it whole.
            _log.exception("unhandled error", extra={"request_id": call_id})
            if started:
                raise
            await send_error(send_with_id, GatewayError(), call_id)


class Room:
    """Refuses the requests of a connection that takes one of the last descriptors: there is none
    for a replica to answer them. It stands within RequestId, whose id it needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_crowded(scope):
            await self._app(scope, receive, send)
        elif scope["path"] in ALWAYS:
            await self._app(scope, receive, last(send))
        else:
            call_id = scope["state"]["request_id"]
            error = OutOfDescriptors("a client's connection is one of the last (RLIMIT_NOFILE)")
            _log.warning("refused: %s", error.detail, extra={"request_id": call_id})
            await send_error(send, error, call_id)


class BodyLimit:
    """Refuses a body of more than `limit` bytes, whether it says its length or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            await send_error(send, self._error(), scope["state"]["request_id"])
            return
        seen = 0

        async def receive_bounded() -> Message:
            nonlocal seen
            message: dict[str, Any] = dict(await receive())
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise self._error()
            return message

        try:
            await self._app(scope, receive_bounded, send)
        except BodyTooLarge as error:
            await send_error(send, error, scope["state"]["request_id"])

    def _error(self) -> BodyTooLarge:
        mib = self._limit / 2**20
        return BodyTooLarge(f"The request body is larger than {mib:g} MiB (server.max_body_bytes).")
