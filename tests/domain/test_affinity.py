"""Keys stay over the turns of a conversation, spread over replicas, and yield to load."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import Any

import pytest

from gateway.domain.affinity import AffinityRule, Pressed, favourite, has_room, prefix_key
from gateway.domain.call import Call
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, Endpoint

RULE = AffinityRule()
SYSTEM = {"role": "system", "content": "You are terse."}


def call(body: dict[str, Any], endpoint: Endpoint = CHAT, affinity: str = "") -> Call:
    return Call("id", endpoint, "m", body, received=0.0, deadline=60.0, affinity=affinity)


def key(*messages: dict[str, Any], model: str = "m", **fields: Any) -> bytes | None:
    return prefix_key(call({"messages": list(messages), **fields}), model)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


# ---- Keys ----------------------------------------------------------------------------------------


def test_all_turns_of_a_conversation_have_one_key() -> None:
    talk = [SYSTEM, user("hello")]
    first = key(*talk)
    for turn in range(3):
        talk += [{"role": "assistant", "content": f"answer {turn}"}, user(f"question {turn}")]
        assert key(*talk) == first


@pytest.mark.parametrize(
    "other",
    [
        [user("hello")],
        [SYSTEM, user("hello!")],
        [{**SYSTEM, "content": "You are verbose."}, user("hello")],
        [{"role": "system", "content": "You are "}, user("terse.hello")],
        [SYSTEM, user([{"type": "text", "text": "hello"}])],
    ],
)
def test_another_beginning_has_another_key(other: list[dict[str, Any]]) -> None:
    assert key(*other) != key(SYSTEM, user("hello"))


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "function": {"name": "look_up"}}]},
        {"cache_salt": "team-a"},
        {"chat_template_kwargs": {"enable_thinking": False}},
    ],
)
def test_what_is_rendered_before_the_messages_counts(fields: dict[str, Any]) -> None:
    assert key(SYSTEM, user("hello"), **fields) != key(SYSTEM, user("hello"))


def test_what_comes_after_the_prefix_does_not_count() -> None:
    assert key(user("hello"), temperature=1, max_tokens=9) == key(user("hello"))


def test_another_model_has_another_key() -> None:
    assert key(user("hello"), model="m") != key(user("hello"), model="n")


def test_a_long_text_counts_by_its_ends_and_its_length() -> None:
    long = "x" * 100_000
    assert key(user(long)) == key(user(long))
    assert len({key(user(t)) for t in (long, "y" + long[1:], long[:-1] + "y", long + "x")}) == 4


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": None},
        {"messages": ["odd", {"role": 1, "content": {"a": [1, None, "\ud800"]}}]},
        {"messages": [user("hi")], "tools": ["odd", {"function": 3}], "documents": [[[[[[1]]]]]]},
    ],
)
def test_an_odd_body_has_a_key_too(body: dict[str, Any]) -> None:
    assert prefix_key(call(body), "m") is not None


def test_a_completion_counts_by_its_first_512_characters() -> None:
    def of(prompt: Any) -> bytes | None:
        return prefix_key(call({"prompt": prompt}, COMPLETIONS), "m")

    head = "def add(a, b):\n" * 40
    assert of(head + "one") == of(head + "two") == of([head + "three", "other"])
    assert of("x" + head) != of(head)
    assert of(list(range(200))) == of([list(range(128)), [1]])
    assert of([]) == of(None)


def test_a_prompt_file_counts_by_what_it_is_about() -> None:
    def of(affinity: str, text: str) -> bytes | None:
        return prefix_key(call({"messages": [user(text)]}, affinity=affinity), "m")

    assert of("explain:a.py", "one") == of("explain:a.py", "two")
    assert of("explain:a.py", "one") != of("explain:b.py", "one")


def test_embeddings_share_no_prefix() -> None:
    assert prefix_key(call({"input": "text"}, EMBEDDINGS), "m") is None


# ---- Favourites ----------------------------------------------------------------------------------


def keys(count: int = 4000) -> list[bytes]:
    return [blake2b(b"%d" % number, digest_size=16).digest() for number in range(count)]


def test_keys_spread_evenly() -> None:
    counts = Counter(favourite(one, {"r0": 1, "r1": 1, "r2": 1, "r3": 1}) for one in keys())
    assert min(counts.values()) > 850
    assert max(counts.values()) < 1150


def test_keys_spread_by_weight() -> None:
    counts = Counter(favourite(one, {"big": 3.0, "small": 1.0}) for one in keys())
    assert 2.6 < counts["big"] / counts["small"] < 3.4


def test_when_a_replica_goes_only_its_own_keys_move() -> None:
    three = {"r0": 1.0, "r1": 1.0, "r2": 1.0}
    two = {"r0": 1.0, "r1": 1.0}
    for one in keys(500):
        before = favourite(one, three)
        assert before == "r2" or favourite(one, two) == before


def test_the_favourite_is_the_same_in_every_process() -> None:
    found = [favourite(one, {"r0": 1, "r1": 1, "r2": 1}) for one in keys(6)]
    assert found == ["r0", "r0", "r0", "r2", "r0", "r0"]


# ---- Load ----------------------------------------------------------------------------------------


def test_an_idle_favourite_has_room() -> None:
    assert has_room(Pressed(0), [Pressed(0)], RULE)
    assert has_room(Pressed(0), [], RULE)


@pytest.mark.parametrize(("mine", "room"), [(14, True), (15, False)])
def test_a_favourite_takes_a_quarter_more_than_its_share_and_two(mine: int, room: bool) -> None:
    # 20 in flight and one more, on two: 10.5 each; 1.25 times that and 2 is 15.1.
    assert has_room(Pressed(mine), [Pressed(20 - mine)], RULE) is room


def test_a_favourite_of_more_weight_takes_more() -> None:
    assert has_room(Pressed(14, weight=3.0), [Pressed(2)], RULE)
    assert not has_room(Pressed(14), [Pressed(2)], RULE)


def test_a_favourite_with_a_queue_yields_unless_all_have_one() -> None:
    assert has_room(Pressed(1, waiting=1), [Pressed(1, waiting=0)], RULE)
    assert not has_room(Pressed(1, waiting=3), [Pressed(1, waiting=0)], RULE)
    assert not has_room(Pressed(1, waiting=3), [Pressed(1)], RULE)
    assert has_room(Pressed(1, waiting=3), [Pressed(1, waiting=2)], RULE)


def test_a_favourite_with_a_full_cache_yields_unless_all_are_full() -> None:
    assert has_room(Pressed(1, kv=0.94), [Pressed(1, kv=0.1)], RULE)
    assert not has_room(Pressed(1, kv=0.96), [Pressed(1, kv=0.1)], RULE)
    assert has_room(Pressed(1, kv=0.96), [Pressed(1, kv=0.97)], RULE)


def test_pressure_is_of_in_flight_and_queue_for_the_weight_and_a_full_cache_is_the_worst() -> None:
    assert Pressed(2, weight=2.0).pressure(RULE) < Pressed(2).pressure(RULE)
    assert Pressed(2).pressure(RULE) < Pressed(2, waiting=1).pressure(RULE)
    assert Pressed(99).pressure(RULE) < Pressed(0, kv=0.99).pressure(RULE)
