"""Event streams: borders, whole events, and the end of a stream that is real."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.sse import (
    DONE,
    EventTooLarge,
    StreamWatch,
    WholeEvents,
    data_of,
    encode,
    events,
)


def delta(text: str | None = None, finish: str | None = None, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return encode(orjson.dumps({"model": "m", "choices": [choice], **more}))


USAGE = encode(
    orjson.dumps(
        {"model": "m", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    )
)


def watched(
    stream: bytes, *, size: int = 10_000, hide_usage: bool = False
) -> tuple[bytes, StreamWatch]:
    watch = StreamWatch(hide_usage=hide_usage)
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    return b"".join([watch.feed(piece) for piece in pieces] + [watch.end()]), watch


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_events_end_at_a_blank_line_of_any_kind(end: bytes) -> None:
    assert events(b"data: a" + end + b"data: b" + end) == [b"data: a" + end, b"data: b" + end]


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        (b"data: x\n\n", b"x"),
        (b"data:x\n\n", b"x"),
        (b"event: e\nid: 1\ndata: x\r\n\r\n", b"x"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"\xef\xbb\xbfdata: x\n\n", b"x"),
        (b": keep-alive\n\n", None),
    ],
)
def test_the_payload_is_the_data_lines_joined(event: bytes, payload: bytes | None) -> None:
    assert data_of(event) == payload


@given(st.lists(st.text(min_size=1, max_size=20), max_size=8), st.integers(1, 60))
def test_however_a_stream_is_cut_the_bytes_come_out_the_same(texts: list[str], size: int) -> None:
    stream = b"".join(delta(text) for text in texts) + delta(finish="stop")
    out, watch = watched(stream + DONE, size=size)
    assert out == stream
    assert watch.done
    assert watch.finish_reason == "stop"


@given(st.integers(1, 40))
def test_only_whole_events_ever_come_out(size: int) -> None:
    stream, whole = delta("héllo wörld ") * 3, WholeEvents()
    for at in range(0, len(stream), size):
        out = whole.feed(stream[at : at + size])
        assert out == b"" or out.endswith(b"\n\n")
    assert whole.held == b""


def test_crlf_streams_are_understood_and_left_alone() -> None:
    stream = (delta("a") + delta(finish="stop")).replace(b"\n", b"\r\n")
    out, watch = watched(stream + b"data: [DONE]\r\n\r\n", size=7)
    assert out == stream
    assert (watch.done, watch.finish_reason) == (True, "stop")


def test_usage_is_read_and_hidden_only_when_asked() -> None:
    stream = delta("a") + delta(finish="stop") + USAGE
    shown, watch = watched(stream + DONE)
    hidden, _ = watched(stream + DONE, hide_usage=True)
    assert shown == stream
    assert hidden == delta("a") + delta(finish="stop")
    assert watch.usage is not None
    assert (watch.usage.prompt, watch.usage.completion) == (3, 2)


def test_usage_that_comes_with_the_last_choice_is_never_hidden() -> None:
    last = delta(finish="stop", usage={"prompt_tokens": 1, "completion_tokens": 1})
    out, watch = watched(delta("a") + last + DONE, hide_usage=True)
    assert out == delta("a") + last
    assert watch.usage is not None


def test_what_follows_done_is_dropped() -> None:
    out, _ = watched(delta("a") + delta(finish="stop") + DONE + delta("more"))
    assert b"more" not in out


def test_an_error_event_is_kept_for_us_and_ends_the_stream() -> None:
    error = encode(b'{"error":{"message":"secret","code":500}}')
    out, watch = watched(delta("a") + error + delta("b"))
    assert out == delta("a")
    assert watch.error == {"message": "secret", "code": 500}


def test_events_that_are_not_json_are_left_out_and_counted() -> None:
    out, watch = watched(delta("a") + b"\x00\xffgarbage\n\n" + delta("b") + delta(finish="stop"))
    assert out == delta("a") + delta("b") + delta(finish="stop")
    assert watch.malformed == 1


def test_comments_and_named_events_pass() -> None:
    stream = delta("a") + b": ping\n\n" + b"event: x\n\n" + delta(finish="stop")
    assert watched(stream)[0] == stream


@pytest.mark.parametrize("finish", ['"finish_reason": "stop"', '"finish_reason" : "length"'])
def test_a_finish_is_seen_however_its_json_is_spaced(finish: str) -> None:
    last = f'data: {{"model":"m","choices":[{{"delta":{{}},{finish}}}]}}\n\n'.encode()
    assert watched(delta("a") + last)[1].finish_reason in ("stop", "length")


def test_a_last_event_without_its_blank_line_still_counts() -> None:
    out, watch = watched(delta("a") + delta(finish="stop").rstrip(b"\n"))
    assert out == delta("a") + delta(finish="stop")
    assert watch.finish_reason == "stop"


@given(st.text(max_size=60))
def test_no_text_of_a_model_is_ever_taken_for_protocol(text: str) -> None:
    said = f'[DONE] "error" "usage" "finish_reason":"stop" {text}'
    out, watch = watched(delta("x") + delta(said))
    assert out == delta("x") + delta(said)
    assert (watch.finish_reason, watch.error, watch.usage, watch.done) == ("", None, None, False)


def test_an_event_without_an_end_is_bounded() -> None:
    whole = WholeEvents(limit=100)
    fed = 0
    with pytest.raises(EventTooLarge):
        fed = sum(len(whole.feed(b"data: 123456789")) for _ in range(20))
    assert fed == 0


def test_an_encoded_event_names_itself() -> None:
    assert encode(b"{}", "error") == b"event: error\ndata: {}\n\n"


@pytest.mark.parametrize(
    "broken", [b'data: {"choices":[{"del\n\n', b'data: {"a":1\n\n', b"\xff\xfe\x00\n\n"]
)
def test_a_broken_event_among_good_ones_is_left_out_and_counted(broken: bytes) -> None:
    good = delta("a") + delta("b")
    out, watch = watched(good + broken + delta("c") + delta(finish="stop"))
    assert out == good + delta("c") + delta(finish="stop")
    assert (watch.malformed, watch.babbles) == (1, False)
    for size in (1, 7, len(broken)):
        assert watched(good + broken + delta(finish="stop"), size=size)[0] == good + delta(
            finish="stop"
        )


def test_garbage_before_an_event_is_taken_off_it() -> None:
    stream = delta("a") + b"\xff\xfegarbage\r\n" + delta("b") + delta(finish="stop")
    for size in (3, 10_000):
        out, watch = watched(stream, size=size)
        assert out == delta("a") + delta("b") + delta(finish="stop")
        assert watch.malformed == 1


def test_a_replica_that_sends_nothing_but_garbage_babbles() -> None:
    watch = StreamWatch(hide_usage=False)
    watch.feed(delta("a"))
    watch.feed(b"data: nonsense\n\n" * 8)
    assert watch.babbles
    watch.feed(delta("b"))
    assert not watch.babbles


def test_two_answers_are_whole_when_both_have_finished() -> None:
    watch = StreamWatch(hide_usage=False, choices=2)
    watch.feed(delta("a") + delta(finish="stop"))
    assert not watch.complete, "the second one was cut"
    second = {"index": 1, "delta": {}, "finish_reason": "stop"}
    watch.feed(encode(orjson.dumps({"choices": [second]})))
    assert watch.complete


def test_a_server_that_gives_one_answer_where_two_were_asked_may_say_it_is_done() -> None:
    watch = StreamWatch(hide_usage=False, choices=2)
    watch.feed(delta("a") + delta(finish="stop") + DONE)
    assert watch.complete


# ---- Usage, once ---------------------------------------------------------------------------------


def said_usage(**more: object) -> bytes:
    return (
        b"data: " + orjson.dumps({"choices": [], "usage": {"prompt_tokens": 1}, **more}) + b"\n\n"
    )


FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'


def test_usage_before_the_finish_is_kept_back_and_left_out_when_the_finish_never_comes() -> None:
    watch = StreamWatch(hide_usage=False)
    assert watch.feed(said_usage()) == b""
    assert watch.feed(b"data: [DONE]\n\n") == b""
    assert watch.usage is not None
    assert not watch.complete


def test_usage_after_the_finish_passes_once() -> None:
    watch = StreamWatch(hide_usage=False)
    assert watch.feed(FINISH + said_usage()) == FINISH + said_usage()
    assert watch.feed(said_usage()) == b""


def test_usage_that_was_kept_back_is_told_at_an_end_that_is_real() -> None:
    """One of two answers has finished as far as we could count: the replica's word is enough."""
    watch = StreamWatch(hide_usage=False, choices=2)
    assert watch.feed(FINISH + said_usage()) == FINISH
    assert watch.feed(b"data: [DONE]\n\n") == said_usage()
    assert watch.complete
