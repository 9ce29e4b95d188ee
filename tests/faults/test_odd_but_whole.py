"""What is unusual but no fault: each answer is whole, from the first replica, asked once."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.testing.mock_vllm import Behaviour
from tests.faults.fleet import ANSWER, DELTAS, FINE, PATIENCE, Case, Faulty, Plan, Told

ODD: dict[str, tuple[Behaviour, dict[str, Any]]] = {
    "lines that end in CR LF": (Behaviour(deltas=DELTAS, sse=("crlf",)), {}),
    "lines that end in CR": (Behaviour(deltas=DELTAS, sse=("cr",)), {}),
    "comments": (Behaviour(deltas=DELTAS, sse=("comments",)), {}),
    "event and id lines": (Behaviour(deltas=DELTAS, sse=("fields",)), {}),
    "several data lines": (Behaviour(deltas=DELTAS, sse=("multiline",)), {}),
    "a byte order mark": (Behaviour(deltas=DELTAS, sse=("bom",)), {}),
    "no space after data:": (Behaviour(deltas=DELTAS, sse=("no_space",)), {}),
    "all of that": (
        Behaviour(deltas=DELTAS, sse=("crlf", "comments", "fields", "bom", "no_space")),
        {},
    ),
    "one byte at a time": (Behaviour(deltas=DELTAS, split=1), {}),
    "one byte at a time, CR LF": (Behaviour(deltas=DELTAS, split=1, sse=("crlf",)), {}),
    "a broken event": (Behaviour(deltas=DELTAS, malformed_after=3), {}),
    "a broken first event": (Behaviour(deltas=DELTAS, malformed_after=0), {}),
    "garbage between events": (Behaviour(deltas=DELTAS, garbage_after=3), {}),
    "no [DONE]": (Behaviour(deltas=DELTAS, done=False), {}),
    "an event after [DONE]": (Behaviour(deltas=DELTAS, after_done="event"), {}),
    "a connection left open after [DONE]": (Behaviour(deltas=DELTAS, after_done="hang"), {}),
    "a reset after [DONE]": (Behaviour(deltas=DELTAS, reset_after=99), {}),
    "no usage": (Behaviour(deltas=DELTAS, usage="missing"), {"usages": 0}),
    "usage twice": (Behaviour(deltas=DELTAS, usage="twice"), {}),
    "usage in the finish": (Behaviour(deltas=DELTAS, usage="on_finish"), {}),
    "another id in each chunk": (Behaviour(deltas=DELTAS, changing_ids=True), {"odd_ids": True}),
    "HTTP/1.0, ended by the connection": (Behaviour(deltas=DELTAS, http10=True), {}),
    "100 Continue before": (Behaviour(deltas=DELTAS, interim=100), {}),
    "103 Early Hints before": (Behaviour(deltas=DELTAS, interim=103), {}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_stream_is_whole(faulty: Faulty, name: str) -> None:
    behaviour, named = ODD[name]
    faulty.play(Case(name, "two", True, {"a": (behaviour,)}, Told({"a": 1}, **named)))


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(deltas=DELTAS, split=1),
        Behaviour(deltas=DELTAS, http10=True),
        Behaviour(deltas=DELTAS, interim=100),
        Behaviour(deltas=DELTAS, then="reset"),
    ],
    ids=["one byte at a time", "HTTP/1.0", "100 Continue", "a reset after it"],
)
def test_an_unusual_plain_answer_is_whole(faulty: Faulty, behaviour: Behaviour) -> None:
    faulty.play(Case("odd", "two", False, {"a": (behaviour,)}, Told({"a": 1})))


def test_a_plain_answer_without_usage_is_whole(faulty: Faulty) -> None:
    behaviour = Behaviour(deltas=DELTAS, usage="missing")
    faulty.play(Case("no usage", "two", False, {"a": (behaviour,)}, Told({"a": 1}, usages=0)))


@pytest.mark.parametrize("stream", [False, True])
def test_10_mb_in_one_piece_are_passed_on(faulty: Faulty, stream: bool) -> None:
    text = "x" * 10 * 2**20
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=(text,)),)}
    faulty.play(Case("10 MB", "two", stream, plans, Told({"a": 1}, text=text)))


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_kept_connection_that_has_died_meanwhile_is_no_attempt(
    faulty: Faulty, stream: bool, then: str
) -> None:
    for mock in faulty.mocks.values():
        mock.renew()
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, then=then),)}  # type: ignore[arg-type]
    for _ in range(3):
        faulty.play(Case("stale", "one", stream, plans, Told({"a": 1})))


def test_one_that_is_slow_but_alive_is_not_cut(impatient: Faulty) -> None:
    """Longer than the time for a first token and for a silence, but never silent for so long."""
    pause = PATIENCE / 5
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, delay_between=pause),)}
    got = impatient.play(Case("drips", "two", True, plans, Told({"a": 1})))
    assert got.seconds > PATIENCE


@pytest.mark.parametrize("stream", [False, True])
def test_text_that_looks_like_the_protocol_is_text(faulty: Faulty, stream: bool) -> None:
    deltas = (
        "data: [DONE]",
        "\n\n",
        '"error"',
        ' {"usage": 1}',
        "[DONE]",
        '"finish_reason":"stop"',
    )
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=deltas),)}
    told = Told({"a": 1}, text="".join(deltas))
    faulty.play(Case("looks like it", "two", stream, plans, told))


def test_the_matrix_itself_sees_a_healthy_answer(faulty: Faulty) -> None:
    for stream in (False, True):
        faulty.play(Case("fine", "one", stream, {"a": (FINE,)}, Told({"a": 1}, text=ANSWER)))
