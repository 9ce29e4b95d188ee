"""The tree of errors: one to catch, each with what there is to know."""

from __future__ import annotations

import pytest

import gateway.client
from gateway.client import AssistError, StaleFile, StatusError, StreamTruncated
from gateway.client.errors import Trouble


@pytest.mark.parametrize(
    "name",
    [
        *("ConnectionFailed", "InvalidAnswer", "NothingToApply", "RequestTimeout", "StaleFile"),
        *("StatusError", "StreamTruncated", "UnusableFile"),
    ],
)
def test_whoever_catches_one_error_catches_all(name: str) -> None:
    assert issubclass(getattr(gateway.client, name), AssistError)


def test_a_status_error_has_what_the_gateway_said_of_it() -> None:
    error = StatusError(429, Trouble("Busy.", "queue_full", "t", "model", "req-1", 2.0))
    assert str(error) == "429: Busy. (queue_full, request req-1)"
    assert (error.code, error.param, error.retry_after) == ("queue_full", "model", 2.0)
    assert [StatusError(status, error.trouble).retryable for status in (400, 413, 429, 503)] == [
        *(False, False, True, True)
    ]


@pytest.mark.parametrize("body", [None, [], {}, {"error": "x"}, {"error": {"message": 1}}])
def test_another_body_is_no_error_of_a_gateway(body: object) -> None:
    assert Trouble.read(body) is None


def test_both_hashes_of_a_stale_file_are_kept() -> None:
    body = {"error": {"message": "m", "code": "stale_file", "sent_sha256": "a", "param": None}}
    trouble = Trouble.read(body)
    assert trouble is not None
    assert trouble.extra == {"sent_sha256": "a"}
    error = StaleFile("a" * 64, "b" * 64, path="x.py")
    assert "x.py has changed since it was sent" in str(error)


def test_a_cut_stream_has_no_code() -> None:
    assert StreamTruncated("cut").code == ""
