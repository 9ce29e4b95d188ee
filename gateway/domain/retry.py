"""When another attempt is worth it: kinds of fault, and how long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum


class Fault(StrEnum):
    """What went wrong on one attempt. The words are metric labels and log fields."""

    CONNECT = "connect_error"
    BROKEN = "connection_broken"
    TIMEOUT = "timeout"
    SERVER_ERROR = "server_error"
    RATE_LIMITED = "rate_limited"
    UPSTREAM_AUTH = "upstream_auth"
    UNSUPPORTED = "unsupported"
    REJECTED = "rejected"
    CONTEXT_WINDOW = "context_window"
    CONTENT_POLICY = "content_policy"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"

    @property
    def retryable(self) -> bool:
        """Only faults of the replica: connection errors, 5xx, timeouts, unusable answers."""
        return self in _RETRYABLE

    @property
    def elsewhere(self) -> bool:
        """Not worth waiting for, but another replica may take it at once."""
        return self in _RETRYABLE or self in (Fault.RATE_LIMITED, Fault.UPSTREAM_AUTH)

    @property
    def of_client(self) -> bool:
        """The request itself is wrong: it never counts against the replica."""
        return self in _OF_CLIENT


_RETRYABLE = frozenset(
    {Fault.CONNECT, Fault.BROKEN, Fault.TIMEOUT, Fault.SERVER_ERROR, Fault.GARBAGE, Fault.TRUNCATED}
)
_OF_CLIENT = frozenset(
    {Fault.REJECTED, Fault.CONTEXT_WINDOW, Fault.CONTENT_POLICY, Fault.UNSUPPORTED}
)

# What vLLM, llama.cpp and OpenAI write when a prompt does not fit the window.
_CONTEXT_WORDS = (
    b"maximum context length",
    b"maximum model length",
    b"max_model_len",
    b"context_length_exceeded",
    b"exceed_context_size_error",
)
_POLICY_WORDS = (b"content_policy_violation", b"content management policy", b"content_filter")
# What vLLM and llama.cpp answer on a path that they do not serve (embeddings of a chat model, say).
_NO_ROUTE_WORDS = (b'"detail":"not found"', b'"file not found"', b'"detail":"method not allowed"')
_SEARCHED = 4096


def fault_of(status: int, body: bytes) -> Fault | None:
    """The fault that an upstream answer stands for; None for a 2xx.

    401, 403 and 404 concern our key and our model name: the client has no part in them.
    501 says that the replica cannot do this at all, which no retry mends.
    """
    if 200 <= status < 300:
        return None
    if status == 501:
        return Fault.UNSUPPORTED
    if status in (408, 504):
        return Fault.TIMEOUT
    if status >= 500 or status < 400:
        return Fault.SERVER_ERROR
    if status == 429:
        return Fault.RATE_LIMITED
    head = body[:_SEARCHED].lower()
    if status in (404, 405) and any(word in head for word in _NO_ROUTE_WORDS):
        return Fault.UNSUPPORTED
    if status in (401, 403, 404):
        return Fault.UPSTREAM_AUTH
    if any(word in head for word in _CONTEXT_WORDS):
        return Fault.CONTEXT_WINDOW
    if any(word in head for word in _POLICY_WORDS):
        return Fault.CONTENT_POLICY
    return Fault.REJECTED


@dataclass(frozen=True, slots=True)
class RetryRule:
    """At most `limit` attempts on top of the first; `backoff` in seconds, the last one repeats."""

    limit: int = 3
    backoff: tuple[float, ...] = (1.0, 2.0, 3.0)
    jitter: float = 0.1

    def delay(self, retry: int, random: float) -> float:
        """Seconds before the `retry`-th retry (from 1) on a replica that has failed already;
        `random` in [0, 1) spreads it by ± `jitter` of itself."""
        base = self.backoff[min(retry, len(self.backoff)) - 1]
        return base * (1 + self.jitter * (2 * random - 1))


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """A Retry-After header in seconds: a number, or an HTTP date against `now` (epoch seconds).
    None when there is none or it makes no sense; at most an hour."""
    if not header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, TypeError):
            return None
    if not 0 <= seconds < float("inf"):
        return None
    return min(seconds, 3600.0)
