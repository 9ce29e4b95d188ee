"""Whatever goes wrong before the first byte, the client gets its whole answer from somewhere, or
one honest error: each phase and each fault, with one, two and three replicas, with a fallback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, Literal

import pytest

from gateway.testing.mock_vllm import Behaviour
from tests.faults.fleet import EVENTS, FINE, PATIENCE, Act, Case, Faulty, Plan, Told

Way = Literal["plain", "stream", "both"]
HTML = "<html><body>Bad Gateway</body></html>"

# Faults of a replica that another attempt may mend: what it does, in which way of asking it can
# do so, and what the client is told when nobody does better.
UNAVAILABLE = (503, "replica_unavailable", "failed")
TOO_LATE = (504, "timeout", "timeout")

QUICK: dict[str, tuple[Behaviour | Act, Way, tuple[int, str, str]]] = {
    "refuses connections": ("refuse", "both", UNAVAILABLE),
    "closes before the headers": (Behaviour(before_headers="close"), "both", UNAVAILABLE),
    "resets before the headers": (Behaviour(before_headers="reset"), "both", UNAVAILABLE),
    "answers something that is no HTTP": (Behaviour(before_headers="garbage"), "both", UNAVAILABLE),
    "answers 500": (Behaviour(status=500), "both", UNAVAILABLE),
    "answers 502": (Behaviour(status=502), "both", UNAVAILABLE),
    "answers 503": (Behaviour(status=503), "both", UNAVAILABLE),
    "answers 504": (Behaviour(status=504), "both", TOO_LATE),
    "answers 503 in HTML": (
        Behaviour(status=503, body=HTML, content_type="text/html"),
        "both",
        UNAVAILABLE,
    ),
    "answers 503 with an empty body": (Behaviour(status=503, body=""), "both", UNAVAILABLE),
    "answers 200 in HTML": (Behaviour(body=HTML, content_type="text/html"), "both", UNAVAILABLE),
    "answers 200 with an empty body": (Behaviour(body=""), "both", UNAVAILABLE),
    "redirects": (
        Behaviour(status=307, headers={"location": "http://127.0.0.1:9/v1"}),
        "both",
        UNAVAILABLE,
    ),
    "sends a header of 1 MB": (Behaviour(headers={"x-long": "x" * 2**20}), "both", UNAVAILABLE),
    "packs its answer, though nobody takes gzip": (
        Behaviour(deltas=FINE.deltas, gzip=True),
        "both",
        UNAVAILABLE,
    ),
    "packs its answer into bytes that read like an event": (
        Behaviour(
            body="\x1f\udc8b\n:#\x08\udcee\n\n",
            content_type="text/event-stream",
            headers={"content-encoding": "gzip"},
        ),
        "stream",
        UNAVAILABLE,
    ),
    "sends half of the JSON": (Behaviour(truncate_json=True), "plain", UNAVAILABLE),
    "sends a JSON list": (Behaviour(body="[]"), "plain", UNAVAILABLE),
    "sends bytes that are not UTF-8": (
        Behaviour(body='{"a": "\udcff\udcfe"}'),
        "plain",
        UNAVAILABLE,
    ),
    "sends less than its content-length": (Behaviour(short_by=9), "plain", UNAVAILABLE),
    "closes inside the body": (Behaviour(close_after=1), "plain", UNAVAILABLE),
    "resets inside the body": (Behaviour(reset_after=1), "plain", UNAVAILABLE),
    "breaks HTTP inside the body": (
        Behaviour(garbage_after=1, garbage_framed=False, short_by=99),
        "plain",
        UNAVAILABLE,
    ),
    "tells of an error in a 200": (
        Behaviour(body='{"error": {"message": "EngineDead", "code": 500}}'),
        "plain",
        UNAVAILABLE,
    ),
    "closes before the first event": (Behaviour(close_after=0), "stream", UNAVAILABLE),
    "resets before the first event": (Behaviour(reset_after=0), "stream", UNAVAILABLE),
    "begins with an error event": (Behaviour(error_after=0), "stream", UNAVAILABLE),
    "streams nothing but [DONE]": (
        Behaviour(body="data: [DONE]\n\n", content_type="text/event-stream"),
        "stream",
        UNAVAILABLE,
    ),
    "breaks the chunked framing at once": (
        Behaviour(garbage_after=0, garbage_framed=False),
        "stream",
        UNAVAILABLE,
    ),
}
# A scenario with one of these takes PATIENCE for each attempt on it.
SLOW: dict[str, tuple[Behaviour | Act, Way]] = {
    "hangs before the headers": (Behaviour(before_headers="hang"), "both"),
    "hangs after the headers": (Behaviour(stall_after=0), "both"),
    "hangs inside the body": (Behaviour(stall_after=1), "plain"),
}


def streams(way: Way) -> list[bool]:
    return {"plain": [False], "stream": [True], "both": [False, True]}[way]


def shapes(
    fault: Behaviour | Act, error: tuple[int, str, str]
) -> Iterator[tuple[str, str, dict[str, Plan], Told]]:
    """How many replicas, how many of them do it, and what comes of it."""
    always: Plan = (fault,)
    status, code, outcome = error
    last = {"status": status, "code": code, "outcome": outcome}
    if fault != "refuse":
        yield "once, alone", "one", {"a": (fault, FINE)}, Told({"a": 2})
    yield "always, alone", "one", {"a": always}, Told({"a": 4}, **last)  # type: ignore[arg-type]
    yield "always, one of two", "two", {"a": always}, Told({"a": 1, "b": 1})
    both = {"a": always, "b": always}
    yield "always, two of three", "three", both, Told({"a": 1, "b": 1, "c": 1})
    yield "always, both of two", "two", both, Told({"a": 2, "b": 2}, **last)  # type: ignore[arg-type]
    yield "always, alone, with a fallback", "one-f", {"a": always}, Told({"a": 4, "s": 1})
    yield "always, both, with a fallback", "two-f", both, Told({"a": 2, "b": 2, "s": 1})


def quick_cases() -> Iterator[Case]:
    for name, (fault, way, error) in QUICK.items():
        for where, model, plans, told in shapes(fault, error):
            for stream in streams(way):
                yield Case(f"a replica {name}: {where}", model, stream, plans, told)


def slow_cases() -> Iterator[Case]:
    for name, (fault, way) in SLOW.items():
        for stream in streams(way):
            says = f"a replica {name}"
            yield Case(f"{says}: once, alone", "one", stream, {"a": (fault, FINE)}, Told({"a": 2}))
            yield Case(
                f"{says}: one of two", "two", stream, {"a": (fault,)}, Told({"a": 1, "b": 1})
            )


@pytest.mark.parametrize("case", list(quick_cases()), ids=str)
def test_a_fault_before_the_answer_is_mended_or_told(faulty: Faulty, case: Case) -> None:
    got = faulty.play(case)
    if got.status == 503:
        assert int(got.headers["retry-after"]) >= 1


@pytest.mark.parametrize("case", list(slow_cases()), ids=str)
def test_one_that_hangs_before_the_answer_is_left_behind(impatient: Faulty, case: Case) -> None:
    got = impatient.play(case)
    assert got.seconds >= PATIENCE * 0.9, "it was given its time"


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_hang_the_client_is_told_in_time(impatient: Faulty, stream: bool) -> None:
    plans: dict[str, Plan] = {"a": (Behaviour(before_headers="hang"),)}
    told = Told({"a": 4}, status=504, code="timeout", outcome="timeout")
    impatient.play(Case("all hang", "one", stream, plans, told))


# ---- Places that cannot be connected to ----------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["tls", "dns", "hole"])
def test_one_that_cannot_be_connected_to_is_left_for_another(
    impatient: Faulty, kind: str, stream: bool
) -> None:
    impatient.play(Case(kind, f"{kind}-two", stream, {}, Told({kind: 1, "b": 1})))


@pytest.mark.parametrize("kind", ["tls", "dns", "hole"])
def test_alone_it_is_an_outage_and_no_address_is_told(impatient: Faulty, kind: str) -> None:
    told = Told({kind: 4}, status=503, code="replica_unavailable", outcome="failed")
    got = impatient.play(Case(kind, kind, False, {}, told))
    assert b"invalid" not in got.raw


# ---- Our key, our model's name -------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_replica_that_refuses_our_key_is_our_trouble_never_the_clients(
    faulty: Faulty, status: int, stream: bool
) -> None:
    plan: Plan = (Behaviour(status=status),)
    last: dict[str, Any] = {"status": 503, "code": "replica_unavailable", "outcome": "failed"}
    for model, plans, told in (
        ("one", {"a": plan}, Told({"a": 1}, **last)),
        ("two", {"a": plan}, Told({"a": 1, "b": 1})),
        ("two", {"a": plan, "b": plan}, Told({"a": 1, "b": 1}, **last)),
        ("one-f", {"a": plan}, Told({"a": 1, "s": 1})),
    ):
        faulty.play(Case(f"{status} on {model}", model, stream, plans, told))


# ---- Too many requests ---------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", ["seconds", "a date", "nothing"])
def test_a_replica_at_its_limit_sends_the_call_elsewhere_and_its_wish_to_the_client(
    faulty: Faulty, after: str, stream: bool
) -> None:
    named = {"seconds": "7", "a date": formatdate(time.time() + 30, usegmt=True)}
    headers = {"retry-after": named[after]} if after in named else {}
    plan: Plan = (Behaviour(status=429, headers=headers),)
    bounds = {"seconds": (7, 8), "a date": (15, 31), "nothing": (1, 2)}[after]
    last: dict[str, Any] = {"status": 429, "code": "replica_rate_limited", "outcome": "refused"}
    for model, plans, told in (
        ("one", {"a": plan}, Told({"a": 1}, retry_after=bounds, **last)),
        ("two", {"a": plan}, Told({"a": 1, "b": 1})),
        ("two", {"a": plan, "b": plan}, Told({"a": 1, "b": 1}, retry_after=bounds, **last)),
        ("one-f", {"a": plan}, Told({"a": 1, "s": 1})),
    ):
        faulty.play(Case(f"429 on {model}", model, stream, plans, told))


# ---- The client's own mistakes -------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Behaviour(status=400), 400, "rejected_by_replica"),
        (Behaviour(status=422), 422, "rejected_by_replica"),
        (Behaviour(status=413, body=HTML), 413, "rejected_by_replica"),
        (Behaviour(status=501), 400, "unsupported_by_model"),
        (
            Behaviour(status=400, body='{"error": {"message": "maximum context length is 9"}}'),
            413,
            "context_length_exceeded",
        ),
    ],
    ids=["400", "422", "413 in HTML", "501", "too long"],
)
def test_a_wrong_request_is_asked_once_and_its_error_is_the_replicas(
    faulty: Faulty, fault: Behaviour, status: int, code: str, stream: bool
) -> None:
    told = Told({"a": 1}, status=status, code=code, outcome="refused")
    faulty.play(Case(code, "two", stream, {"a": (fault,)}, told))


def test_a_stream_is_whole_when_its_events_are_counted_right() -> None:
    assert len(FINE.deltas or ()) + 3 == EVENTS
