"""The door: ids, keys, traces and JSON out of an HTTP request."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import Request

from gateway.domain.endpoints import CHAT
from gateway.domain.errors import InvalidRequest
from gateway.web.door import NotJson, call_of, json_of, request_id, timeout_of

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def request(**headers: str) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [
            (k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()
        ],
        "state": {"request_id": "req-1"},
        "route": SimpleNamespace(path="/v1/chat/completions"),
    }
    return Request(scope)


@pytest.mark.parametrize("given", ["abc", "A-1._:z", "x" * 128])
def test_a_sane_id_of_the_client_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "a b", "a\r\nx-evil: 1", "ü", "x" * 129, "a/b", "{}"])
def test_any_other_id_is_replaced_by_a_new_one(given: str | None) -> None:
    first, second = request_id(given), request_id(given)
    assert first.startswith("req-")
    assert first != second


def test_a_call_starts_empty_with_its_key_trace_route_and_deadline() -> None:
    call = call_of(request(authorization="Bearer k", traceparent=TRACE), CHAT, 60.0)
    assert (call.id, call.credential, call.traceparent) == ("req-1", "k", TRACE)
    assert (call.route, call.model, call.body) == ("/v1/chat/completions", "", {})
    assert call.deadline - call.received == 60.0
    assert abs(call.received - time.monotonic()) < 5


@pytest.mark.parametrize("given", ["", "garbage", TRACE.upper(), TRACE + "-x", TRACE[:-1]])
def test_a_traceparent_that_is_none_is_not_passed_on(given: str) -> None:
    assert call_of(request(traceparent=given), CHAT, 60.0).traceparent is None


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/vnd.x+json"]
)
def test_a_body_that_says_it_is_json_is_read(kind: str) -> None:
    assert json_of(request(content_type=kind), b'{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("kind", ["", "text/plain", "text/x+json", "multipart/form-data"])
def test_a_body_of_another_kind_is_refused_with_the_header_to_send(kind: str) -> None:
    with pytest.raises(NotJson) as caught:
        json_of(request(content_type=kind), b"{}")
    assert caught.value.status == 415
    assert "Content-Type: application/json" in caught.value.public


def test_the_clients_timeout_is_read_and_checked() -> None:
    assert timeout_of(request(x_request_timeout="1.5")) == 1.5
    assert timeout_of(request()) is None
    with pytest.raises(InvalidRequest, match="seconds above 0"):
        timeout_of(request(x_request_timeout="never"))
