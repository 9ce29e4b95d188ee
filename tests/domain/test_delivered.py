"""What was shown is known when it is asked for, and costs no more than its text."""

from __future__ import annotations

import orjson
import pytest

from gateway.domain.delivered import FOLD_BYTES, Delivered
from gateway.domain.sse import encode


def event(delta: dict[str, object], **more: object) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    head = {"id": "c1", "object": "chunk", "created": 7, "model": "m"}
    return encode(orjson.dumps(head | {"choices": [choice]} | more))


def shown(*whole: bytes) -> Delivered:
    delivered = Delivered()
    for one in whole:
        delivered.add(one)
    delivered.read()
    return delivered


def test_nothing_is_parsed_before_it_is_needed() -> None:
    delivered = Delivered()
    delivered.add(event({"content": "a"}))
    assert delivered.held > 0
    assert delivered.text == ""


def test_text_and_identity_are_read_from_events_of_any_grouping() -> None:
    two = event({"content": " b"}) + event({"content": "c"})
    delivered = shown(event({"role": "assistant", "content": ""}), b": ping\n\n", two)
    assert delivered.text == " bc"
    assert delivered.identity == {"id": "c1", "object": "chunk", "created": 7, "model": "m"}
    assert (delivered.roles, delivered.pieces, delivered.beyond) == ({0}, 2, "")


def test_a_role_alone_shows_nothing() -> None:
    delivered = shown(event({"role": "assistant", "content": ""}))
    assert not delivered.shown


def test_the_bytes_held_are_bounded_by_the_text_and_a_little() -> None:
    delivered = Delivered()
    words = [f" word{number}" for number in range(20_000)]
    for word in words:
        delivered.add(event({"content": word}))
        assert delivered.held <= FOLD_BYTES + 200_000
    text = "".join(words)
    assert delivered.held < FOLD_BYTES + 2 * len(text)
    delivered.read()
    assert delivered.held == 0
    assert delivered.text == text


def test_trailing_white_space_is_not_counted_because_it_will_be_written_again() -> None:
    delivered = shown(event({"content": "a"}), event({"content": "b"}), event({"content": "\n"}))
    assert delivered.pieces == 2


def test_the_replicas_own_count_is_taken_where_the_stream_carries_it() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3}
    delivered = shown(
        event({"content": "abc"}, usage=usage),
        event({"content": "\n"}, usage=usage | {"completion_tokens": 4}),
    )
    assert (delivered.tokens, delivered.prompt_tokens) == (3, 5)


@pytest.mark.parametrize(
    ("delta", "word"),
    [
        ({"reasoning": "hm"}, "reasoning"),
        ({"reasoning_content": "hm"}, "reasoning"),
        ({"tool_calls": [{"index": 0}]}, "tool_calls"),
        ({"content": "<think>hm"}, "reasoning"),
        ({"content": ["part"]}, "content that is no text"),
        ({"refusal": "no"}, "refusal"),
    ],
)
def test_what_nobody_else_can_continue_has_a_name(delta: dict[str, object], word: str) -> None:
    delivered = shown(event(delta))
    assert (delivered.beyond, delivered.shown) == (word, True)


def test_a_second_choice_and_a_finish_are_noticed() -> None:
    second = {"index": 1, "delta": {"content": "x"}, "finish_reason": None}
    assert shown(encode(orjson.dumps({"choices": [second]}))).beyond == "a second choice"
    done = {"index": 0, "delta": {}, "finish_reason": "stop"}
    assert shown(encode(orjson.dumps({"choices": [done]}))).finished


def test_completions_are_read_as_chats_are() -> None:
    choice = {"index": 0, "text": "abc", "finish_reason": None}
    assert shown(encode(orjson.dumps({"choices": [choice]}))).text == "abc"


def test_events_that_cannot_be_read_make_an_answer_that_cannot_be_continued() -> None:
    assert shown(b"data: {nonsense}\n\n").beyond == "unreadable events"


def test_pieces_are_counted_without_a_look_at_them() -> None:
    delivered = Delivered()
    for _ in range(2000):
        delivered.add(event({"content": "a word or two of it"}))
    assert delivered.held < 2000 * len(event({"content": "a word or two of it"})), "it was packed"
    assert delivered.chunks == 2000
    delivered.read()
    delivered.add(event({"content": "more"}))
    assert delivered.chunks == 2001
