"""Which faults are worth another attempt, and how long to wait."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from gateway.domain.retry import Fault, RetryRule, fault_of, retry_after_seconds


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b"", None),
        (204, b"", None),
        (302, b"", Fault.SERVER_ERROR),
        (400, b"{}", Fault.REJECTED),
        (400, b'{"message":"This model\'s maximum context length is 2048"}', Fault.CONTEXT_WINDOW),
        (400, b"max_tokens cannot be greater than max_model_len=2048", Fault.CONTEXT_WINDOW),
        (400, b'{"type":"exceed_context_size_error"}', Fault.CONTEXT_WINDOW),
        (400, b'{"code":"content_policy_violation"}', Fault.CONTENT_POLICY),
        (401, b"", Fault.UPSTREAM_AUTH),
        (403, b"", Fault.UPSTREAM_AUTH),
        (404, b'{"error":{"message":"The model `x` does not exist."}}', Fault.UPSTREAM_AUTH),
        (404, b'{"detail":"Not Found"}', Fault.UNSUPPORTED),
        (404, b'{"error":{"message":"File Not Found"}}', Fault.UNSUPPORTED),
        (408, b"", Fault.TIMEOUT),
        (413, b"", Fault.REJECTED),
        (422, b"", Fault.REJECTED),
        (429, b"", Fault.RATE_LIMITED),
        (500, b"", Fault.SERVER_ERROR),
        (501, b"", Fault.UNSUPPORTED),
        (503, b"<html>", Fault.SERVER_ERROR),
        (504, b"", Fault.TIMEOUT),
    ],
)
def test_a_status_stands_for_a_fault(status: int, body: bytes, fault: Fault | None) -> None:
    assert fault_of(status, body) is fault


def test_only_5xx_connection_errors_timeouts_and_unusable_answers_are_retried() -> None:
    assert {fault for fault in Fault if fault.retryable} == {
        Fault.CONNECT,
        Fault.BROKEN,
        Fault.TIMEOUT,
        Fault.SERVER_ERROR,
        Fault.GARBAGE,
        Fault.TRUNCATED,
    }


def test_a_busy_replica_or_one_that_does_not_know_us_is_left_for_another_at_once() -> None:
    extra = {fault for fault in Fault if fault.elsewhere and not fault.retryable}
    assert extra == {Fault.RATE_LIMITED, Fault.UPSTREAM_AUTH}


def test_a_clients_own_mistake_is_never_tried_elsewhere() -> None:
    assert all(not fault.elsewhere for fault in Fault if fault.of_client)


def test_back_off_is_1_2_3_seconds_and_the_last_repeats() -> None:
    rule = RetryRule(jitter=0.0)
    assert [rule.delay(retry, 0.9) for retry in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, 3.0]


def test_jitter_spreads_a_back_off_both_ways() -> None:
    rule = RetryRule(jitter=0.1)
    assert rule.delay(2, 0.0) == pytest.approx(1.8)
    assert rule.delay(2, 1.0) == pytest.approx(2.2)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-3", None),
        ("nan", None),
        ("inf", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("999999", 3600.0),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=1_000_000) == seconds
