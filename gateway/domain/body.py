"""Request bodies: bytes in, a checked JSON object out, or an error that says what to send."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.domain.bounds import USUAL_JSON, JsonBounds
from gateway.domain.call import Call
from gateway.domain.endpoints import Endpoint
from gateway.domain.errors import InvalidRequest
from gateway.domain.limits import Timeouts
from gateway.domain.nesting import deeper_than, may_be_deeper_than, may_hold_more_than


def parse(raw: bytes, bounds: JsonBounds = USUAL_JSON) -> dict[str, Any]:
    """The JSON object in `raw`. InvalidRequest names the place where it stops being one, or the
    bound that it passes. Of a key given twice the last value counts, and replicas get only that:
    what is sent to them is written anew from what was read here."""
    if may_hold_more_than(raw, bounds.values):
        raise InvalidRequest(
            f"The request body has more than {bounds.values} values (the operator sets "
            "limits.json_values).",
            code="invalid_json",
        )
    if not raw.strip():
        raise InvalidRequest(
            "The request body is empty; send a JSON object with 'Content-Type: application/json'.",
            code="invalid_json",
        )
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg} at line {error.lineno}, "
            f"column {error.colno}.",
            code="invalid_json",
        ) from None
    if may_be_deeper_than(raw, bounds.depth) and deeper_than(body, bounds.depth):
        raise InvalidRequest(
            f"The request body nests more than {bounds.depth} levels deep (the operator sets "
            "limits.json_depth).",
            code="invalid_json",
        )
    if not isinstance(body, dict):
        kind = type(body).__name__
        raise InvalidRequest(
            f"The request body must be a JSON object, not {kind}.", code="invalid_json"
        )
    return body


def check(endpoint: Endpoint, body: dict[str, Any]) -> None:
    """InvalidRequest unless `body` has what every request of this endpoint needs, in its type."""
    _wants(body, "model", str, "a string, one of GET /v1/models", required=True)
    if not body["model"].strip():
        raise _invalid("model", "must not be empty; GET /v1/models lists what to put there")
    for name in endpoint.required:
        if body.get(name) is None:
            raise _invalid(name, f"is missing; {endpoint.path} needs it")
    if endpoint.streams:
        _wants(body, "stream", bool, "true or false")
        _wants(body, "stream_options", dict, "an object")
    elif body.get("stream"):
        raise _invalid("stream", f"is not offered by {endpoint.path}; leave it out")
    if "messages" in endpoint.required:
        _check_messages(body["messages"])


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages", "must be a list of at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise _invalid(
                f"messages[{number}]", "must be an object with 'role' and 'content', both strings"
            )


def _wants(
    body: dict[str, Any], name: str, kind: type, what: str, *, required: bool = False
) -> None:
    value = body.get(name)
    if value is None and not required:
        return
    if not isinstance(value, kind):
        state = "is missing; it must be" if value is None else "must be"
        raise _invalid(name, f"{state} {what}")


def _invalid(param: str, says: str) -> InvalidRequest:
    return InvalidRequest(f"{param!r} {says}.", param=param)


def fill(
    call: Call, body: dict[str, Any], timeouts: Timeouts, client_timeout: float | None
) -> None:
    """Give `call` its checked body, and with it the model, whether it streams, and its deadline.

    `client_timeout` (s, from X-Request-Timeout) can only shorten what the gateway allows.
    """
    check(call.endpoint, body)
    call.body = body
    call.model = body["model"]
    call.stream = bool(body.get("stream"))
    allowed = timeouts.stream_total if call.stream else timeouts.total
    call.deadline = call.received + min(allowed, client_timeout or allowed)


def client_timeout(header: str | None) -> float | None:
    """Seconds from an X-Request-Timeout header; InvalidRequest unless it is a number above 0."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidRequest(
            f"X-Request-Timeout must be a number of seconds above 0, for example 30, "
            f"not {header[:40]!r}.",
            param="X-Request-Timeout",
        )
    return seconds
