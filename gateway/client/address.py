"""Where a gateway is, how it is asked over HTTP, and httpx's errors in our words: Address."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import orjson

from gateway.client.errors import (
    AssistError,
    ConnectionFailed,
    InvalidAnswer,
    RequestTimeout,
    StatusError,
    StreamTruncated,
    Trouble,
    UnusableFile,
)
from gateway.client.questions import Question
from gateway.client.results import Answer

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 600.0
"""The gateway's own limits are far below; this one is for a gateway that has died."""
LONGEST_SECONDS = 86_400.0
GRACE_SECONDS = 5.0
"""So much longer than the gateway itself we wait: it can say better what was too slow."""

R = TypeVar("R", bound=Answer)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the gateway is, and the key for it. The key never shows."""

    url: str
    key: str | None = field(repr=False)
    timeout: float | None = None

    @classmethod
    def of(cls, base_url: str | None, api_key: str | None, timeout: float | None) -> Address:
        """What is None comes from GATEWAY_URL and GATEWAY_API_KEY. AssistError for a bad URL."""
        url = (base_url or os.environ.get("GATEWAY_URL") or DEFAULT_URL).rstrip("/")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL("")
        if parsed.userinfo or parsed.query or parsed.fragment:
            # The URL is shown in errors, and a name in it would take the place of the key.
            raise AssistError(
                "the gateway's URL holds more than an address: leave out name, password and query, "
                f"write one like {DEFAULT_URL}, and put the key into GATEWAY_API_KEY"
            )
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise AssistError(f"{url!r} is no URL of a gateway; write one like {DEFAULT_URL}")
        key = (api_key or os.environ.get("GATEWAY_API_KEY") or "").strip() or None
        if key is not None and not (key.isascii() and key.isprintable()):
            raise AssistError("the key has characters that no key has; copy it again")
        return cls(url, key, timeout)

    @property
    def is_here(self) -> bool:
        """Whether it is this machine: no proxy stands between."""
        host = httpx.URL(self.url).host
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def options(self) -> dict[str, Any]:
        """For an httpx client."""
        found: dict[str, Any] = {"trust_env": not self.is_here, "follow_redirects": False}
        if self.url.startswith("http://"):
            # Nothing is encrypted, so no authorities are read, which takes longer than all the
            # rest. This context trusts nobody: were it used after all, it would refuse.
            found["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return found

    def opened(self, client: Callable[..., C]) -> C:
        """An httpx client. AssistError when the environment names a proxy or certificates that
        cannot be used."""
        try:
            return client(**self.options())
        except (httpx.InvalidURL, ImportError, OSError, ValueError) as error:
            raise AssistError(
                f"the environment names a proxy or certificates that are of no use: {error}; "
                "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
            ) from error

    def request(self, question: Question[R], *, stream: bool) -> dict[str, Any]:
        """For `build_request` of an httpx client. UnusableFile for text that is not Unicode;
        AssistError for a timeout or an idempotency key that no header can carry."""
        headers = {"content-type": "application/json", "user-agent": "gateway-client"}
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        again = question.idempotency_key
        if again is not None:
            if not (again.isascii() and again.isprintable()):
                raise AssistError("idempotency_key: use printable ASCII, a new UUID say")
            headers["idempotency-key"] = again
        seconds = question.timeout if question.timeout is not None else self.timeout
        if seconds is not None:
            if not 0 < seconds <= LONGEST_SECONDS:
                raise AssistError(f"timeout: give seconds above 0, for example 30, not {seconds}")
            headers["x-request-timeout"] = f"{seconds:g}"
        wait = SILENCE_SECONDS if seconds is None else seconds + GRACE_SECONDS
        try:
            body = orjson.dumps(dict(question.body))
        except TypeError as error:
            raise UnusableFile(f"the question cannot be sent as JSON: {error}") from None
        return {
            "method": "POST",
            "url": f"{self.url}/api/ai/{question.action}{'/stream' if stream else ''}",
            "content": body,
            "headers": headers,
            "timeout": httpx.Timeout(wait, connect=min(CONNECT_SECONDS, wait)),
        }

    @contextmanager
    def telling(self, *, streaming: bool = False) -> Iterator[None]:
        """Turns httpx's errors into ours; `streaming`: an answer has begun."""
        try:
            yield
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout):
                raise self._unreachable("does not answer") from error
            raise RequestTimeout(f"{self.url} said nothing in time; try again later") from error
        except httpx.ConnectError as error:
            raise self._unreachable(_cause(error)) from error
        except httpx.HTTPError as error:
            if streaming:
                raise StreamTruncated("the connection broke in the stream; ask again") from error
            raise ConnectionFailed(
                f"{self.url} closed the connection without an answer; try again"
            ) from error

    def _unreachable(self, why: str) -> ConnectionFailed:
        fix = f"is the gateway running at {self.url}? start it with: make serve"
        if not self.is_here:
            fix = f"is {self.url} the right address? set GATEWAY_URL, or pass base_url (--url)"
        return ConnectionFailed(f"{why}: {fix}")


def _cause(error: httpx.ConnectError) -> str:
    said = str(error)
    if "CERTIFICATE" in said.upper():
        return f"its certificate is not trusted ({said})"
    return "cannot connect"


def refused(response: httpx.Response) -> StatusError:
    """The error in an answer that has been read whole."""
    known: dict[str, Any] = {"retry_after": _seconds(response.headers.get("retry-after"))}
    known["request_id"] = response.headers.get("x-request-id", "")
    try:
        trouble = Trouble.read(orjson.loads(response.content), **known)
    except orjson.JSONDecodeError:
        trouble = None
    if trouble is None:
        place = response.request.url.copy_with(query=None)
        said = f"{place} answers {response.status_code} {response.reason_phrase}, not as a gateway"
        trouble = Trouble(f"{said} does; check the address", **known)
    return StatusError(response.status_code, trouble)


def answer_of(question: Question[R], response: httpx.Response) -> R:
    """The answer in a response that has been read whole. StatusError, InvalidAnswer."""
    if response.status_code != 200:
        raise refused(response)
    try:
        return question.read(orjson.loads(response.content))
    except orjson.JSONDecodeError:
        raise InvalidAnswer(f"{response.request.url} answers, but not with JSON") from None


def _seconds(header: str | None) -> float | None:
    try:
        return float(header or "")
    except ValueError:
        return None
