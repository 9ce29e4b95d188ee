"""All that can go wrong when a gateway is asked over HTTP.

AssistError                     catch this one, and show its text: it says what to do
├── StatusError                 the gateway said no: status, code, param, request_id …
├── ConnectionFailed            nobody answers at the URL        (also a ConnectionError)
├── RequestTimeout              nothing came in time             (also a TimeoutError)
├── StreamTruncated             a stream ended without its result
├── InvalidAnswer               what answers there is no gateway, or a much older one
├── UnusableFile                a file that cannot be sent       (also a ValueError)
├── StaleFile                   the file is not the one that was sent
└── NothingToApply              an answer that holds no change for certain
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class AssistError(Exception):
    """Why there is no answer, or none that can be used, and what to do."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the gateway says of a failure. `retry_after` is in seconds."""

    message: str
    code: str = ""
    type: str = ""
    param: str | None = None
    request_id: str = ""
    retry_after: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else it says: both hashes of a stale file, say."""

    @classmethod
    def read(cls, body: object, **known: Any) -> Trouble | None:
        """From an error body as the gateway sends it; None where it is not one."""
        error = body.get("error") if isinstance(body, dict) else None
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return None
        names = ("code", "type", "param", "request_id")
        found = {name: error[name] for name in names if isinstance(error.get(name), str)}
        extra = {name: said for name, said in error.items() if name not in (*names, "message")}
        return cls(error["message"], extra=extra, **{**known, **found})

    def __str__(self) -> str:
        """For people: what went wrong, and what the operator will ask for."""
        asked = [self.code, f"request {self.request_id}" if self.request_id else ""]
        told = ", ".join(part for part in asked if part)
        return self.message + (f" ({told})" if told else "")


class StatusError(AssistError):
    """The gateway answered, with an error: a 4xx is to be mended here, a 5xx there."""

    def __init__(self, status: int, trouble: Trouble) -> None:
        super().__init__(f"{status}: {trouble}")
        self.status = status
        self.trouble = trouble

    @property
    def code(self) -> str:
        """Such as `invalid_api_key`, `context_too_large`, `queue_full`."""
        return self.trouble.code

    @property
    def param(self) -> str | None:
        """Which field of the request is meant."""
        return self.trouble.param

    @property
    def request_id(self) -> str:
        """By which the operator finds the request in logs and traces."""
        return self.trouble.request_id

    @property
    def retry_after(self) -> float | None:
        """Seconds after which it is worth another try; None where the gateway did not say."""
        return self.trouble.retry_after

    @property
    def retryable(self) -> bool:
        """Whether the same request may do better later."""
        return self.status in (429, 502, 503, 504)


class ConnectionFailed(AssistError, ConnectionError):
    """Nobody answers at the URL, or the connection broke before an answer had begun."""


class RequestTimeout(AssistError, TimeoutError):
    """The gateway said nothing in time. (A model that is too slow is a StatusError of 504.)"""


class StreamTruncated(AssistError):
    """A stream ended without a result. What came of it is a part of an answer and no more.

    `trouble` is what the gateway said about it, None when the connection was cut.
    """

    def __init__(self, message: str, trouble: Trouble | None = None) -> None:
        super().__init__(message if trouble is None else f"{message}: {trouble}")
        self.trouble = trouble

    @property
    def code(self) -> str:
        """Of the gateway's error; "" when it said none."""
        return self.trouble.code if self.trouble else ""


class InvalidAnswer(AssistError):
    """An answer that does not have the shape that it must have."""


class UnusableFile(AssistError, ValueError):
    """A file that is no text in its encoding, or that lacks the lines asked about."""


class StaleFile(AssistError):
    """The content is not the one that the answer was made for: nothing was changed."""

    def __init__(self, expected: str, actual: str, *, path: str = "") -> None:
        super().__init__(
            f"{path or 'the file'} has changed since it was sent: ask again with its content of "
            f"now (sha256 was {expected[:12]}, is {actual[:12]})"
        )
        self.expected = expected
        self.actual = actual


class NothingToApply(AssistError):
    """The answer was cut, or it is not certain what it changes; its text is for people only."""
