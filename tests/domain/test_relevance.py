"""BM25: rare words, often said, in a short text; and the numbers that its formula gives."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.relevance import relevance

some = st.sampled_from(["load", "save", "user", "self", "return"])
texts = st.lists(st.lists(some, max_size=12), max_size=6)


def test_the_numbers_are_those_of_the_formula() -> None:
    found = relevance({"load"}, [["load", "x", "load", "y"], ["x", "z"]])
    rare = math.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    held = 1.2 * (1 - 0.75 + 0.75 * 4 / 3)
    assert found == [pytest.approx(rare * 2 * 2.2 / (2 + held)), 0.0]


def test_a_word_that_few_have_counts_more_than_one_that_all_have() -> None:
    one, other, third = relevance({"rare", "self"}, [["rare", "self"], ["self"] * 2, ["self"] * 2])
    assert one > other == third > 0


def test_a_word_said_again_counts_less_each_time_and_a_long_text_is_held_back() -> None:
    once, twice, often = relevance(
        {"load"}, [["load"] + ["x"] * 9, ["load"] * 2 + ["x"] * 8, ["load"] * 3 + ["x"] * 7]
    )
    assert often > twice > once
    assert often - twice < twice - once
    short, long = relevance({"load"}, [["load", "x"], ["load"] + ["x"] * 50])
    assert short > long


def test_without_texts_words_or_anything_in_a_text_there_is_nothing_to_divide_by() -> None:
    assert relevance({"a"}, []) == []
    assert relevance(set(), [["a"]]) == [0.0]
    assert relevance({"a"}, [[], []]) == [0.0, 0.0]


@given(st.sets(some), texts, st.randoms(use_true_random=False))
def test_each_text_keeps_its_number_in_any_order(
    wanted: set[str], sent: list[list[str]], chance: object
) -> None:
    order = list(range(len(sent)))
    chance.shuffle(order)  # type: ignore[attr-defined]
    found = relevance(wanted, sent)
    assert relevance(wanted, [sent[at] for at in order]) == [found[at] for at in order]
    for number, words in zip(found, sent, strict=True):
        assert (number > 0) == bool(wanted & set(words))


def test_a_word_that_no_text_has_costs_nothing_in_each_of_them() -> None:
    asked: list[str] = []

    class Word(str):
        def __hash__(self) -> int:
            asked.append(self)
            return super().__hash__()

    words = {Word("never"), Word("said")}
    asked.clear()
    assert relevance(words, [["other", "text"]] * 50) == [0.0] * 50
    assert len(asked) < 10
