"""What of an HTTP request becomes a Call: its id, its deadline, its priority."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from gateway.domain.endpoints import CHAT
from gateway.domain.errors import ClientStalled, GatewayError, InvalidRequest, ShuttingDown
from gateway.domain.limits import Priority
from gateway.web.door import NotJson, call_of, json_of, priority_of, request_id, timeout_of


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


def asked(path: str = "/v1/chat/completions", **headers: str) -> Request:
    scope: dict[str, Any] = {
        "type": "http",
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        "state": {"request_id": "req-1"},
        "route": Route(path),
    }
    return Request(scope)


@pytest.mark.parametrize("given", ["abc", "a.b_c:d-1", "x" * 128])
def test_a_clients_own_request_id_is_kept(given: str) -> None:
    assert request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "a b", "a\r\nb", "ä"])
def test_any_other_request_id_is_replaced(given: str | None) -> None:
    assert request_id(given) != given
    assert request_id(given).startswith("req-")


def test_a_request_id_that_looks_like_a_key_is_written_down_nowhere() -> None:
    assert request_id("sk-0123456789abcdef").startswith("req-")
    assert request_id("task-0123456789abcdef") == "task-0123456789abcdef"


def test_a_call_has_what_is_known_before_its_body() -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    call = call_of(asked(authorization="Bearer k", traceparent=parent), CHAT, 7.0)
    assert (call.id, call.route, call.credential) == ("req-1", "/v1/chat/completions", "k")
    assert call.traceparent == parent
    assert call.deadline == call.received + 7.0


def test_the_address_is_that_of_the_connection_whatever_a_header_says() -> None:
    request = asked(x_forwarded_for="192.0.2.9")
    assert call_of(request, CHAT, 1.0).address == ""
    request.scope["client"] = ("10.1.2.3", 4)
    assert call_of(request, CHAT, 1.0).address == "10.1.2.3"


def test_a_traceparent_that_is_none_is_dropped() -> None:
    assert call_of(asked(traceparent="nonsense"), CHAT, 1.0).traceparent is None


@pytest.mark.parametrize(
    ("state", "kept"), [("a=1,b=2", True), ("", False), ("x" * 513, False), ("a=\x01", False)]
)
def test_a_tracestate_comes_along_with_a_traceparent_alone(state: str, kept: bool) -> None:
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    call = call_of(asked(traceparent=parent, tracestate=state), CHAT, 1.0)
    assert call.tracestate == (state if kept else None)
    assert call_of(asked(tracestate=state), CHAT, 1.0).tracestate is None


def test_whoever_waits_in_an_editor_goes_first_unless_it_says_otherwise() -> None:
    assert call_of(asked("/api/ai/explain"), CHAT, 1.0).priority is Priority.INTERACTIVE
    assert call_of(asked("/v1/chat/completions"), CHAT, 1.0).priority is Priority.NORMAL


@pytest.mark.parametrize(
    ("mark", "error"), [("cut_by_shutdown", ShuttingDown), ("client_stalled", ClientStalled)]
)
def test_a_call_that_we_end_ourselves_knows_why(mark: str, error: type[GatewayError]) -> None:
    request = asked()
    call = call_of(request, CHAT, 1.0)
    assert call.cut() is None
    request.scope["state"][mark] = True
    assert type(call.cut()) is error


@pytest.mark.parametrize("word", ["interactive", "normal", "batch", " Batch "])
def test_a_client_may_say_how_urgent_it_is(word: str) -> None:
    said = priority_of(asked(x_gateway_priority=word), Priority.NORMAL)
    assert said.value == word.strip().lower()


def test_without_a_word_the_usual_priority_holds() -> None:
    assert priority_of(asked(), Priority.BATCH) is Priority.BATCH


@pytest.mark.parametrize("word", ["urgent", "", "0", "interactive,batch"])
def test_another_word_is_refused_with_those_that_exist(word: str) -> None:
    with pytest.raises(InvalidRequest, match="interactive, normal or batch") as caught:
        priority_of(asked(x_gateway_priority=word), Priority.NORMAL)
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_a_json_body_is_read(kind: str) -> None:
    assert json_of(asked(content_type=kind), b'{"a": 1}') == {"a": 1}


def test_a_body_that_does_not_say_it_is_json_is_not_read() -> None:
    with pytest.raises(NotJson):
        json_of(asked(content_type="text/plain"), b"{}")


def test_the_time_that_a_client_grants() -> None:
    assert timeout_of(asked(x_request_timeout="2.5")) == 2.5
    assert timeout_of(asked()) is None
    with pytest.raises(InvalidRequest):
        timeout_of(asked(x_request_timeout="soon"))
