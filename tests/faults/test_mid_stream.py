"""A stream that breaks anywhere is made whole, or ends in a typed error without `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.testing.mock_vllm import Behaviour
from tests.faults.fleet import DELTAS, EVENTS, FINE, Case, Faulty, Plan, Told

ERROR = {"message": "EngineCore died", "type": "InternalServerError", "code": 500}
# What is told how many events come before, and what else makes the fault.
CUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "is reset": ("reset_after", {}),
    "is closed": ("close_after", {}),
    "breaks its framing": ("garbage_after", {"garbage_framed": False}),
    "tells of an error": ("error_after", {"error": ERROR}),
}
# After the role; in the text; after all of the text.
PLACES = {"after the role": 1, "in the text": 4, "before the finish": EVENTS - 2}
TRUNCATED: dict[str, Any] = {"code": "upstream_truncated", "event": True, "outcome": "truncated"}


def cut(what: str, place: int) -> Behaviour:
    """A stream that breaks so after `place` events."""
    after, more = CUTS[what]
    return Behaviour(deltas=DELTAS, delay_between=0.01, **{after: place}, **more)


def cases() -> Iterator[Case]:
    for what in CUTS:
        for where, place in PLACES.items():
            once: Plan = (cut(what, place), FINE)
            says = f"a stream {what} {where}"
            yield Case(f"{says}, once, alone", "one", True, {"a": once}, Told({"a": 2}))
            always: Plan = (cut(what, place),)
            yield Case(f"{says}, one of two", "two", True, {"a": always}, Told({"a": 1, "b": 1}))
        first: Plan = (cut(what, 2),)
        two = {"a": first, "b": first}
        yield Case(
            f"a stream {what}, two of three", "three", True, two, Told({"a": 1, "b": 1, "c": 1})
        )
        if what == "breaks its framing":
            # What comes in one read with the headers has not begun; the next test has that.
            continue
        told = Told({"a": 2, "b": 2}, most=7, **TRUNCATED)
        yield Case(f"each stream {what} of both", "two", True, two, told)
        four = Told({"a": 4}, most=7, **TRUNCATED)
        yield Case(f"each stream {what}, alone", "one", True, {"a": first}, four)
        yield Case(f"each stream {what}, with a fallback", "two-f", True, two, told)


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_a_stream_that_breaks_is_made_whole_or_ends_honestly(faulty: Faulty, case: Case) -> None:
    faulty.play(case)


def test_where_all_break_their_framing_at_once_nothing_was_begun(faulty: Faulty) -> None:
    both: dict[str, Plan] = dict.fromkeys("ab", (cut("breaks its framing", 0),))
    told = Told({"a": 2, "b": 2}, status=503, code="replica_unavailable", outcome="failed")
    faulty.play(Case("breaks its framing", "two", True, both, told))
    spare = Told({"a": 2, "b": 2, "s": 1})
    faulty.play(Case("breaks its framing", "two-f", True, both, spare))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_one_that_stalls_is_left_for_another(impatient: Faulty, place: int) -> None:
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, stall_after=place),)}
    impatient.play(Case("stalls", "two", True, plans, Told({"a": 1, "b": 1})))


def test_two_that_stall_do_not_keep_an_answer_from_the_third(impatient: Faulty) -> None:
    """A stall lasts longer than a back-off: both might be asked again by then, but come last."""
    plans = dict.fromkeys("ab", (Behaviour(deltas=DELTAS, stall_after=2),))
    impatient.play(Case("stall", "three", True, plans, Told({"a": 1, "b": 1, "c": 1})))


@pytest.mark.parametrize("place", range(EVENTS - 1), ids=str)
def test_wherever_it_is_cut_before_the_finish_another_goes_on(faulty: Faulty, place: int) -> None:
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, reset_after=place),)}
    faulty.play(Case("cut", "two", True, plans, Told({"a": 1, "b": 1})))


@pytest.mark.parametrize("after", ["reset_after", "close_after", "stall_after"])
def test_the_finish_is_the_end_though_the_usage_never_comes(impatient: Faulty, after: str) -> None:
    broken = Behaviour(deltas=DELTAS, **{after: EVENTS - 1})  # type: ignore[arg-type]
    impatient.play(Case("cut", "two", True, {"a": (broken,)}, Told({"a": 1}, usages=0)))


@pytest.mark.parametrize("model", ["one", "two", "three"])
def test_a_finish_that_never_comes_is_no_end(faulty: Faulty, model: str) -> None:
    """`[DONE]` without a finish_reason, from everybody: not shown as a complete answer."""
    plan: Plan = (Behaviour(deltas=DELTAS, finish_reason=None),)
    asked = {"one": {"a": 4}, "two": {"a": 2, "b": 2}, "three": {"a": 2, "b": 1, "c": 1}}[model]
    plans = dict.fromkeys("abc", plan)
    faulty.play(Case("no finish", model, True, plans, Told(asked, **TRUNCATED)))


def test_a_finish_that_one_replica_forgets_comes_from_another(faulty: Faulty) -> None:
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, finish_reason=None),)}
    faulty.play(Case("no finish", "two", True, plans, Told({"a": 1, "b": 1})))


def test_babble_is_left_for_another(faulty: Faulty) -> None:
    garbage = Behaviour(deltas=DELTAS, garbage_after=3, garbage="data: {\n\n" * 9, stall_after=3)
    got = faulty.play(Case("babbles", "two", True, {"a": (garbage,)}, Told({"a": 1, "b": 1})))
    assert got.seconds < 20, "nobody waited for it to fall silent"


def test_an_event_without_an_end_is_not_kept_for_ever(faulty: Faulty) -> None:
    garbage = Behaviour(deltas=DELTAS, garbage_after=3, garbage="data: " + "x" * 17 * 2**20)
    faulty.play(Case("endless event", "two", True, {"a": (garbage,)}, Told({"a": 1, "b": 1})))


# ---- The limit of tokens at a seam ---------------------------------------------------------------


def test_when_all_tokens_were_there_at_the_cut_the_answer_is_complete_and_nobody_is_asked(
    impatient: Faulty,
) -> None:
    plans: dict[str, Plan] = {"a": (Behaviour(deltas=DELTAS, stall_after=1 + 3),)}
    told = Told({"a": 1}, usages=0, finish="length", text="".join(DELTAS[:3]))
    impatient.play(Case("spent", "two", True, plans, told, {"max_tokens": 3}))


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_next_replica_gets_what_is_left_and_never_less_than_one_token(
    faulty: Faulty, field: str
) -> None:
    text = "one two three four five six"
    plans: dict[str, Plan] = {
        "a": (Behaviour(text=text, delay_between=0.01, reset_after=1 + 4),),
        "b": (Behaviour(text=text),),
    }
    told = Told({"a": 1, "b": 1}, finish="length", text="one two three four five")
    faulty.play(Case("left", "two", True, plans, told, {field: 5}))
    (asked,) = faulty.mocks["b"].requests("/v1/chat/completions")
    assert 1 <= asked.body[field] <= 5
