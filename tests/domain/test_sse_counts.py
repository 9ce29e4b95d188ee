"""Usage within the chunks of a stream: kept from the client, read only where the stream is cut."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.domain.call import Usage
from gateway.domain.sse import DONE, StreamWatch, encode


def event(text: str | None, tokens: int | None, finish: str | None = None, **more: Any) -> bytes:
    delta = {"content": text} if text is not None else {}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    chunk: dict[str, Any] = {"id": "c", "model": "m", "choices": [choice], **more}
    if tokens is not None:
        chunk["usage"] = {"prompt_tokens": 5, "total_tokens": 5, "completion_tokens": tokens}
    return encode(orjson.dumps(chunk))


LAST = encode(
    orjson.dumps(
        {"model": "m", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}}
    )
)
COUNTED = [event("", 0), event("one", 1), event(" two", 2), event("", 3, "stop"), LAST, DONE]
BARE = [event("", None), event("one", None), event(" two", None), event("", None, "stop")]


def watched(pieces: list[bytes], *, hide_usage: bool = True) -> tuple[bytes, StreamWatch]:
    watch = StreamWatch(hide_usage=hide_usage, hide_counts=True)
    return b"".join([*(watch.feed(piece) for piece in pieces), watch.end()]), watch


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
@pytest.mark.parametrize("hide_usage", [True, False])
def test_the_client_gets_the_stream_as_if_nobody_had_asked_to_count(
    size: int, hide_usage: bool
) -> None:
    stream = b"".join(COUNTED)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    said, watch = watched(pieces, hide_usage=hide_usage)
    assert said == b"".join(BARE if hide_usage else [*BARE, LAST])
    assert watch.counted == Usage(5, 3)
    assert watch.complete


@pytest.mark.parametrize("seen", [1, 2, 3])
def test_a_stream_that_is_cut_has_counted_what_was_seen(seen: int) -> None:
    said, watch = watched(COUNTED[:seen])
    assert said == b"".join(BARE[:seen])
    assert watch.counted == Usage(5, seen - 1)


def test_many_events_that_come_together_are_all_made_lean() -> None:
    said, watch = watched([COUNTED[0], b"".join(COUNTED[1:3])])
    assert said == b"".join(BARE[:3])
    assert watch.counted == Usage(5, 2)


def test_no_chunk_is_parsed_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = StreamWatch(hide_usage=True, hide_counts=True)
    watch.feed(COUNTED[0])
    monkeypatch.setattr(orjson, "loads", lambda text: pytest.fail("parsed"))
    assert watch.feed(COUNTED[1]) == BARE[1]


def test_usage_that_is_written_in_another_way_goes_too() -> None:
    usage = {"completion_tokens": 1, "prompt_tokens": 5, "details": {"x": 1}}
    odd = event("one", None).replace(b'"id":"c"', b'"usage":' + orjson.dumps(usage))
    said, watch = watched([odd])
    assert b"usage" not in said
    assert b"one" in said
    assert watch.counted == Usage(5, 1)


def test_usage_of_something_else_within_the_chunk_stays() -> None:
    odd = event("one", None, extra={"usage": {"x": 1}}).replace(b'{"usage"', b'{"a":1,"usage"')
    said, watch = watched([event("", 0), odd])
    assert said == event("", None) + odd
    assert watch.counted == Usage(5, 0)


def test_words_of_the_answer_are_no_usage() -> None:
    text = ',"usage":{"prompt_tokens":1}}\n\n'
    said, watch = watched([event("", 0), event(text, None)])
    assert said == event("", None) + event(text, None)
    assert watch.counted == Usage(5, 0)


def test_what_only_the_end_of_the_answer_tells_still_reaches_who_asked() -> None:
    said, _ = watched([event("one", None), event("", 3, "stop"), DONE], hide_usage=False)
    first, last, usage, nothing = said.split(b"\n\n")
    assert b"usage" not in first + last
    told = orjson.loads(usage.removeprefix(b"data: "))
    assert (told["choices"], told["usage"]["completion_tokens"]) == ([], 3)
    assert nothing == b""


def test_a_replica_that_never_counts_has_told_nothing() -> None:
    _, watch = watched(BARE[:2])
    assert watch.counted is None
