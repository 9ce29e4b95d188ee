"""Address, headers and time limits of a request; httpx's errors in our words."""

from __future__ import annotations

import ssl

import httpx
import orjson
import pytest

from gateway.client import (
    AssistError,
    ConnectionFailed,
    File,
    RequestTimeout,
    StatusError,
    StreamTruncated,
    UnusableFile,
    questions,
)
from gateway.client.address import Address, answer_of, refused

ASK = questions.explain(File("a.py", "x = 1\n"))


def test_the_environment_says_what_the_caller_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Address.of(None, None, None).url == "http://127.0.0.1:8000"
    monkeypatch.setenv("GATEWAY_URL", "https://gw.example.com/base/")
    monkeypatch.setenv("GATEWAY_API_KEY", " k ")
    found = Address.of(None, None, None)
    assert (found.url, found.key) == ("https://gw.example.com/base", "k")
    assert Address.of("http://h", "other", 1.0) == Address("http://h", "other", 1.0)
    assert "other" not in repr(Address.of("http://h", "other", 1.0))


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    with pytest.raises(AssistError) as caught:
        Address.of(None, "sk-gw-\u201cpasted", None)
    assert "sk-gw" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8000", True),
        ("http://[::1]:8000", True),
        ("http://127.0.0.9", True),
        ("https://gw.example.com", False),
        ("http://10.0.0.1", False),
    ],
)
def test_no_proxy_stands_between_a_machine_and_itself(url: str, here: bool) -> None:
    assert Address.of(url, None, None).is_here is here
    assert Address.of(url, None, None).options()["trust_env"] is not here


def test_a_certificate_is_trusted_only_where_one_is_looked_at() -> None:
    context = Address.of("http://h", None, None).options()["verify"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.get_ca_certs() == []
    assert "verify" not in Address.of("https://h", None, None).options()


def test_a_time_limit_is_told_to_the_gateway_and_waited_for_a_little_longer() -> None:
    made = Address.of("http://h", "k", 20.0).request(ASK, stream=True)
    assert made["url"] == "http://h/api/ai/explain/stream"
    assert made["headers"]["x-request-timeout"] == "20"
    assert made["timeout"].read == 25.0
    assert orjson.loads(made["content"])["file"]["path"] == "a.py"
    own = questions.explain(File("a.py", "x"), timeout=1.5, idempotency_key="i")
    made = Address.of("http://h", None, 20.0).request(own, stream=False)
    assert made["headers"]["x-request-timeout"] == "1.5"
    assert made["headers"]["idempotency-key"] == "i"
    assert "authorization" not in made["headers"]
    assert "x-request-timeout" not in Address.of("http://h", None, None).request(ASK, stream=False)


def test_text_that_is_not_unicode_is_told() -> None:
    with pytest.raises(UnusableFile, match="cannot be sent as JSON"):
        Address.of("http://h", None, None).request(questions.chat("\ud800"), stream=False)


@pytest.mark.parametrize(
    ("error", "streaming", "ours", "text"),
    [
        (httpx.ConnectError("refused"), False, ConnectionFailed, "make serve"),
        (httpx.ConnectTimeout(""), False, ConnectionFailed, "does not answer"),
        (httpx.ReadTimeout(""), True, RequestTimeout, "in time"),
        (httpx.ReadError(""), False, ConnectionFailed, "try again"),
        (httpx.RemoteProtocolError(""), True, StreamTruncated, "ask again"),
    ],
)
def test_what_httpx_says_becomes_what_to_do(
    error: httpx.HTTPError, streaming: bool, ours: type[AssistError], text: str
) -> None:
    with (
        pytest.raises(ours, match=text),
        Address.of(None, None, None).telling(streaming=streaming),
    ):
        raise error


def test_an_address_elsewhere_is_doubted_rather_than_started() -> None:
    with (
        pytest.raises(ConnectionFailed, match=r"certificate.*right address\? set GATEWAY_URL"),
        Address.of("https://gw.example.com", None, None).telling(),
    ):
        raise httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED]")


def response(status: int, content: bytes, **headers: str) -> httpx.Response:
    request = httpx.Request("POST", "http://h/api/ai/explain?x=1")
    return httpx.Response(status, content=content, headers=headers, request=request)


def test_an_error_page_of_a_proxy_is_told_as_one() -> None:
    error = refused(response(502, b"<html>", **{"retry-after": "soon"}))
    assert isinstance(error, StatusError)
    assert "http://h/api/ai/explain answers 502 Bad Gateway, not as a gateway" in str(error)
    assert error.retry_after is None


def test_an_answer_of_200_is_read() -> None:
    assert answer_of(ASK, response(200, b'{"id": "1", "explanation": "e"}')).explanation == "e"


@pytest.mark.parametrize(
    "url", ["http://ann:hunter2@h", "http://h?key=hunter2", "http://h/#hunter2", "//ann:hunter2@h"]
)
def test_a_url_that_holds_more_than_an_address_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(AssistError, match="GATEWAY_API_KEY") as caught:
        Address.of(url, None, None)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["nonsense:port", "ftp://127.0.0.1:1"])
def test_a_proxy_of_no_use_is_said_to_be(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(AssistError, match="ALL_PROXY"):
        Address.of("http://gw.example.com", None, None).opened(httpx.Client)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_a_number_of_seconds(seconds: float) -> None:
    ask = questions.chat("hi", timeout=seconds)
    with pytest.raises(AssistError, match="above 0"):
        Address.of(None, None, None).request(ask, stream=False)


@pytest.mark.parametrize("key", ["é", "a\nb"])
def test_an_idempotency_key_that_no_header_can_carry_is_refused(key: str) -> None:
    ask = questions.chat("hi", idempotency_key=key)
    with pytest.raises(AssistError, match="idempotency_key"):
        Address.of(None, None, None).request(ask, stream=False)
