"""Request bodies: what is checked here, what is left to the replica, and what an error says."""

from __future__ import annotations

import pytest

from gateway.domain.body import check, client_timeout, fill, parse
from gateway.domain.bounds import JsonBounds
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
        (b"[" * 10_000 + b"]" * 10_000, "not valid JSON"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "not valid JSON"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 levels deep"),
        (b'{"a": [%s]}' % (b"[]," * 1_000_000 + b"[]"), "more than 1000000 values"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": -Infinity}', "not valid JSON"),
        (b'{"a": 1e999}', "not valid JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": "\xed\xa0\x80"}', "not valid JSON"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\\udc00\\ud800"}', "not valid JSON"),
        (b'{"a": "\n"}', "not valid JSON"),
        (b'{"a": 1} {"a": 2}', "not valid JSON"),
        (b'{"a": 1,}', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 0x10}', "not valid JSON"),
    ],
)
def test_bytes_that_are_no_json_object_are_refused_with_the_place(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw)
    assert says in caught.value.public
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("depth", [1, 8, 63, 64])
def test_a_body_may_nest_as_deep_as_it_is_allowed(depth: int) -> None:
    raw = b'{"a":' * depth + b"1" + b"}" * depth
    parse(raw, JsonBounds(depth=depth))
    with pytest.raises(InvalidRequest, match="levels deep"):
        parse(raw, JsonBounds(depth=depth - 1))


def test_of_a_key_that_is_given_twice_the_last_value_counts() -> None:
    assert parse(b'{"n": 1, "n": 2}') == {"n": 2}


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


def test_what_is_needed_is_all_that_is_looked_at_here() -> None:
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
