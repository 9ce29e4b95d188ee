"""Room 1: what of an HTTP request becomes a Call: its id, its key, its trace, its deadline."""

from __future__ import annotations

import re
import time
import uuid
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from gateway.domain.body import client_timeout, parse
from gateway.domain.bounds import USUAL_JSON, JsonBounds
from gateway.domain.call import Call
from gateway.domain.endpoints import Endpoint
from gateway.domain.errors import ClientStalled, GatewayError, InvalidRequest, ShuttingDown
from gateway.domain.limits import Priority
from gateway.domain.redaction import redact_text
from gateway.domain.tags import header_tags
from gateway.flow.identify import credential
from gateway.web.connection import has_stalled, was_cut

_ASSIST = "/api/ai/"
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
# What W3C lets a header of that name hold, in the 512 characters that it asks all to pass on.
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def request_id(header: str | None) -> str:
    """The client's own X-Request-Id when it is 1 to 128 of A-Z a-z 0-9 . _ : - and does not look
    like a key, else a new one: it is written down everywhere."""
    if header and _ID.fullmatch(header) and redact_text(header) == header:
        return header
    return f"req-{uuid.uuid4().hex}"


def priority_of(request: Request, usual: Priority) -> Priority:
    """What X-Gateway-Priority says, `usual` where it is not sent; InvalidRequest for another."""
    header = request.headers.get("x-gateway-priority")
    if header is None:
        return usual
    try:
        return Priority(header.strip().lower())
    except ValueError:
        raise InvalidRequest(
            f"X-Gateway-Priority must be interactive, normal or batch, "
            f"not {header[:40]!r}; leave it out for {usual}.",
            param="X-Gateway-Priority",
        ) from None


def call_of(request: Request, endpoint: Endpoint, total: float) -> Call:
    """A Call that is still empty: the pipeline fills it once the caller is known.

    `total` (s) is its deadline until its body says whether it streams.
    """
    headers = request.headers
    route = request.scope["route"].path
    now = time.monotonic()
    traceparent, state = headers.get("traceparent", ""), headers.get("tracestate", "")
    traced = _TRACEPARENT.fullmatch(traceparent) is not None
    return Call(
        id=request.scope["state"]["request_id"],
        endpoint=endpoint,
        model="",
        body={},
        received=now,
        deadline=now + total,
        route=route,
        credential=credential(headers.get("authorization"), headers.get("x-api-key")),
        traceparent=traceparent if traced else None,
        tracestate=state if traced and _TRACESTATE.fullmatch(state) else None,
        tags=header_tags(headers.get("x-litellm-tags")),
        # Somebody sits in front of an editor and waits.
        priority=Priority.INTERACTIVE if route.startswith(_ASSIST) else Priority.NORMAL,
        cut=partial(_why_cut, request.scope),
        address=request.client.host if request.client is not None else "",
    )


def _why_cut(scope: Scope) -> GatewayError | None:
    if has_stalled(scope):
        return ClientStalled()
    return ShuttingDown() if was_cut(scope) else None


class NotJson(InvalidRequest):
    """A body that does not say it is JSON. A web page can send any other type to this machine
    behind its user's back, but not this one without asking first (CORS)."""

    status = 415
    code = "unsupported_media_type"
    default_public = "Send the body as JSON, with the header 'Content-Type: application/json'."


def json_of(request: Request, raw: bytes, bounds: JsonBounds = USUAL_JSON) -> dict[str, Any]:
    """The JSON object in a request's body. NotJson (415), or InvalidRequest with the place."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise NotJson
    return parse(raw, bounds)


def timeout_of(request: Request) -> float | None:
    """Seconds that the client grants, from X-Request-Timeout; InvalidRequest if it is no number."""
    return client_timeout(request.headers.get("x-request-timeout"))
