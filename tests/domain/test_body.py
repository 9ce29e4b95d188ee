"""Request bodies: what is checked here, what is left to the replica, and what an error says."""

from __future__ import annotations

import pytest

from gateway.domain.body import check, client_timeout, fill, parse
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint
from gateway.domain.errors import InvalidRequest
from gateway.domain.limits import Timeouts
from gateway.testing.fakes import a_call

MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "line 1, column"),
        (b'{"a": NaN}', "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[1]", "must be a JSON object, not list"),
        (b'"text"', "must be a JSON object, not str"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_bytes_that_are_no_json_object_are_refused_with_the_place(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert says in caught.value.public
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("endpoint", "body", "param"),
    [
        (CHAT, {"messages": MESSAGES}, "model"),
        (CHAT, {"model": 3, "messages": MESSAGES}, "model"),
        (CHAT, {"model": " ", "messages": MESSAGES}, "model"),
        (CHAT, {"model": "m"}, "messages"),
        (CHAT, {"model": "m", "messages": []}, "messages"),
        (CHAT, {"model": "m", "messages": "hi"}, "messages"),
        (CHAT, {"model": "m", "messages": ["hi"]}, "messages[0]"),
        (CHAT, {"model": "m", "messages": [*MESSAGES, {"content": "x"}]}, "messages[1]"),
        (CHAT, {"model": "m", "messages": MESSAGES, "stream": "yes"}, "stream"),
        (CHAT, {"model": "m", "messages": MESSAGES, "stream_options": []}, "stream_options"),
        (COMPLETIONS, {"model": "m"}, "prompt"),
        (EMBEDDINGS, {"model": "m"}, "input"),
        (EMBEDDINGS, {"model": "m", "input": "x", "stream": True}, "stream"),
    ],
)
def test_what_every_request_needs_is_asked_for_by_name(
    endpoint: Endpoint, body: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(endpoint, body)
    assert caught.value.param == param
    assert repr(param) in caught.value.public


def test_fields_that_we_do_not_know_are_the_replicas_business() -> None:
    check(CHAT, {"model": "m", "messages": MESSAGES, "top_k": -5, "anything": {"x": 1}})


@pytest.mark.parametrize(
    ("stream", "client", "deadline"),
    [(False, None, 60.0), (True, None, 600.0), (False, 5.0, 5.0), (True, 9999.0, 600.0)],
)
def test_a_client_can_shorten_its_deadline_but_never_lengthen_it(
    stream: bool, client: float | None, deadline: float
) -> None:
    call = a_call()
    fill(call, {"model": "m", "messages": MESSAGES, "stream": stream}, Timeouts(), client)
    assert call.deadline == deadline
    assert (call.model, call.stream) == ("m", stream)


@pytest.mark.parametrize("header", ["0", "-1", "soon", "nan", "inf", ""])
def test_a_timeout_that_makes_no_sense_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="X-Request-Timeout"):
        client_timeout(header)


def test_a_timeout_is_in_seconds() -> None:
    assert client_timeout("2.5") == 2.5
    assert client_timeout(None) is None
