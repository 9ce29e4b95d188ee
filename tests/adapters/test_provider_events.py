"""What becomes of LiteLLM's answers and chunks on their way to an OpenAI client."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.adapters.provider_events import StreamEvents, plain, usage_of

ASIDE = {"provider_specific_fields": {"x": 1}, "thinking_blocks": [], "citations": []}


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "created": 5, "model": "claude", "choices": [choice]}


def told(events: bytes) -> list[dict[str, Any]]:
    return [orjson.loads(one.removeprefix(b"data: ")) for one in events.split(b"\n\n") if one]


def test_usage_keeps_what_openai_has() -> None:
    given = {"prompt_tokens": 2, "completion_tokens": None, "total_tokens": 2, "speed": "fast"}
    given["prompt_tokens_details"] = {"cached_tokens": 1, "audio_tokens": None, "video_tokens": 3}
    assert usage_of(given) == {
        "prompt_tokens": 2,
        "completion_tokens": 0,
        "total_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    assert usage_of(None) is None


def test_a_plain_answer_loses_what_one_provider_alone_knows() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}], **ASIDE}
    answer = {"id": "c1", "model": None, "choices": [{"index": 0, "message": message, **ASIDE}]}
    body = orjson.loads(plain(answer, "claude"))
    assert body["model"] == "claude"
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "tool_calls": [{"id": "t"}]},
        }
    ]


def test_a_role_waits_for_the_text_that_it_belongs_to() -> None:
    events = StreamEvents("m")
    assert events.of(piece(role="assistant", content="")) == b""
    first, second = told(events.of(piece(content="Hi")))
    assert first["choices"][0]["delta"] == {"role": "assistant"}
    assert second["choices"][0]["delta"] == {"content": "Hi"}


def test_a_piece_with_nothing_in_it_is_none() -> None:
    assert StreamEvents("m").of(piece(content="", **ASIDE)) == b""


def test_the_usage_comes_last_and_alone() -> None:
    events = StreamEvents("m")
    chunk = piece("stop") | {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    (last,) = told(events.of(chunk))
    assert (last["choices"][0]["finish_reason"], "usage" in last) == ("stop", False)
    (usage,) = told(events.end())
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 2)
    assert (usage["id"], usage["model"]) == ("c1", "claude")


def test_without_a_count_nothing_is_made_up() -> None:
    assert StreamEvents("m").end() == b""
