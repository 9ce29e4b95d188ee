"""Two streams told as one: whose name it bears, what is left out, what is added up."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.domain.call import Usage
from gateway.domain.graft import Graft, Unjoinable
from gateway.domain.seam import Seam
from gateway.domain.sse import data_of, encode, events

FIRST = {"id": "first", "model": "m", "created": 1}


def event(*choices: dict[str, Any], **more: object) -> bytes:
    head = {"id": "second", "model": "m2", "created": 2, "system_fingerprint": "b"}
    return encode(orjson.dumps(head | {"choices": list(choices)} | more))


def delta(finish: str | None = None, **fields: object) -> dict[str, Any]:
    return {"index": 0, "delta": fields, "finish_reason": finish}


def a_graft(trailing: str = "", **more: Any) -> Graft:
    return Graft(FIRST, {0}, Seam("sent", trailing), **more)


def chunks(whole: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(data_of(one) or b"") for one in events(whole)]


def test_every_event_bears_the_first_streams_name() -> None:
    (told,) = chunks(a_graft().feed(event(delta(content="a"))))
    assert {key: told[key] for key in FIRST} == FIRST
    assert told["choices"][0]["delta"]["content"] == "a"


def test_a_second_role_is_left_out_and_an_empty_event_with_it() -> None:
    assert a_graft().feed(event(delta(role="assistant", content=""))) == b""
    (told,) = chunks(a_graft().feed(event(delta(role="assistant", content="x"))))
    assert told["choices"][0]["delta"] == {"content": "x"}


def test_the_white_space_that_was_shown_is_not_shown_again() -> None:
    graft = a_graft("\n\n")
    assert graft.feed(event(delta(content="\n"))) == b""
    (told,) = chunks(graft.feed(event(delta(content="\n  x"))))
    assert told["choices"][0]["delta"]["content"] == "  x"


def test_what_the_seam_still_holds_comes_with_the_finish() -> None:
    graft = Graft(FIRST, {0}, Seam("a long beginning of it", ""))
    assert graft.feed(event(delta(content="a long"))) == b""
    (told,) = chunks(graft.feed(event(delta("stop", content=""))))
    assert told["choices"][0]["delta"]["content"] == "a long"
    assert told["choices"][0]["finish_reason"] == "stop"


def test_a_finish_without_a_text_of_its_own_gets_none_added() -> None:
    (told,) = chunks(a_graft().feed(event(delta("stop"))))
    assert told["choices"][0]["delta"] == {}


def test_usage_is_added_up_as_if_it_were_one_run() -> None:
    usage = {
        "prompt_tokens": 13,
        "completion_tokens": 4,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 12},
    }
    graft = a_graft(tokens=3)
    (told,) = chunks(graft.feed(event(usage=usage)))
    assert told["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 10},
    }
    assert graft.usage(Usage(13, 4, 12)) == Usage(10, 7, 10)
    assert graft.usage(None) is None


def test_completions_are_joined_as_chats_are() -> None:
    graft = Graft(FIRST, set(), Seam("sent", " "))
    (told,) = chunks(graft.feed(event({"index": 0, "text": " b", "finish_reason": None})))
    assert told["choices"][0]["text"] == "b"


def test_comments_pass() -> None:
    assert a_graft().feed(b": ping\n\n") == b": ping\n\n"


@pytest.mark.parametrize("odd", [{"reasoning": "hm"}, {"tool_calls": [{"index": 0}]}])
def test_a_continuation_that_says_something_else_does_not_fit(odd: dict[str, Any]) -> None:
    with pytest.raises(Unjoinable):
        a_graft().feed(event(delta(**odd)))


def test_an_answer_that_begins_again_may_say_anything() -> None:
    (told,) = chunks(a_graft(strict=False).feed(event(delta(reasoning="hm"))))
    assert told["choices"][0]["delta"] == {"reasoning": "hm"}
    assert told["id"] == "first"
