"""The mock model's tokens, its answers, and how it continues what was already said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.testing.mock_script import HEALTHY, Behaviour
from gateway.testing.mock_text import DEFAULT_TEXT, Generation, generate, skip, token_ids, tokenise


def chat(*said: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(said)]
    return {"messages": messages, **more}


def text(generation: Generation) -> str:
    return "".join(generation.deltas)


@given(st.text())
def test_tokens_join_to_the_text_they_came_from(given_text: str) -> None:
    assert "".join(tokenise(given_text)) == given_text
    assert len(token_ids(given_text)) == len(tokenise(given_text))


@given(st.lists(st.text(min_size=1)), st.integers(0, 50))
def test_skipping_characters_of_deltas_is_skipping_them_in_the_text(
    deltas: list[str], characters: int
) -> None:
    assert "".join(skip(deltas, characters)) == "".join(deltas)[characters:]


def test_the_healthy_answer_is_always_the_same() -> None:
    assert text(generate(chat("a"), HEALTHY)) == text(generate(chat("b"), HEALTHY)) == DEFAULT_TEXT


def test_an_answer_can_be_given_by_its_number_of_tokens() -> None:
    assert generate(chat("a"), Behaviour(tokens=300)).tokens == 300


def test_every_delta_counts_as_one_token() -> None:
    assert generate(chat("a"), Behaviour(deltas=("one two", "", " three"))).tokens == 3


def test_echo_repeats_the_last_user_message_whatever_its_shape() -> None:
    parts = [{"type": "text", "text": "say "}, {"type": "text", "text": "this"}]
    messages = [{"role": "user", "content": "old"}, {"role": "user", "content": parts}]
    assert text(generate({"messages": messages}, Behaviour(echo=True))) == "say this"


@pytest.mark.parametrize("delivered", ["", "The", "The mock sa", DEFAULT_TEXT])
def test_a_handed_over_start_is_continued_and_not_repeated(delivered: str) -> None:
    body = chat("hi", delivered, continue_final_message=True, add_generation_prompt=False)
    assert delivered + text(generate(body, HEALTHY)) == DEFAULT_TEXT


def test_a_start_that_is_not_ours_is_answered_from_the_beginning() -> None:
    body = chat("hi", "Once upon", continue_final_message=True, add_generation_prompt=False)
    assert text(generate(body, HEALTHY)) == DEFAULT_TEXT


def test_without_the_flag_an_assistant_message_is_not_continued() -> None:
    assert text(generate(chat("hi", "The mock"), HEALTHY)) == DEFAULT_TEXT


@pytest.mark.parametrize("cut", [3, 10, len(DEFAULT_TEXT)])
def test_a_completion_prompt_that_ends_with_our_start_is_continued(cut: int) -> None:
    body = {"prompt": "Listen to The: " + DEFAULT_TEXT[:cut], "max_tokens": 50}
    assert text(generate(body, HEALTHY)) == DEFAULT_TEXT[cut:]


def test_too_few_tokens_end_with_length() -> None:
    generation = generate(chat("hi", max_tokens=2), HEALTHY)
    assert (generation.tokens, generation.finish_reason) == (2, "length")


def test_as_many_tokens_as_the_answer_has_end_with_stop() -> None:
    whole = generate(chat("hi"), HEALTHY).tokens
    assert generate(chat("hi", max_tokens=whole), HEALTHY).finish_reason == "stop"


def test_max_completion_tokens_comes_before_max_tokens() -> None:
    body = chat("hi", max_tokens=9, max_completion_tokens=3)
    assert generate(body, HEALTHY).tokens == 3


def test_reasoning_uses_up_tokens_first() -> None:
    generation = generate(chat("hi", max_tokens=3), Behaviour(reasoning="a b"))
    assert (generation.reasoning, generation.deltas) == (("a", " b"), ("The",))


def test_a_completion_without_max_tokens_has_sixteen() -> None:
    assert generate({"prompt": "x"}, Behaviour(tokens=20)).tokens == 16


def test_a_stop_sequence_cuts_the_answer_before_it() -> None:
    generation = generate(chat("hi", stop=["café", " says"]), HEALTHY)
    assert (text(generation), generation.stop_reason) == ("The mock", " says")


def test_tool_calls_come_without_text_unless_text_is_given() -> None:
    call = {"name": "f", "arguments": '{"a": 1}'}
    alone = generate(chat("hi"), Behaviour(tool_calls=(call,)))
    both = generate(chat("hi"), Behaviour(tool_calls=(call,), text="ok"))
    assert (text(alone), alone.finish_reason) == ("", "tool_calls")
    assert text(both) == "ok"
