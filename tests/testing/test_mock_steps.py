"""Each scripted fault, as the bytes that a raw socket sees."""

import gzip
import json
import socket
import time
import zlib
from typing import Any, NamedTuple

import httpx
import pytest

from gateway.testing.mock_text import DEFAULT_TEXT
from gateway.testing.mock_vllm import Behaviour, MockVLLM

pytest_plugins = ("gateway.testing.plugin",)

SILENCE = 0.02  # seconds


class Seen(NamedTuple):
    """All that came on a connection and how it ended: fin, rst, or still open."""

    raw: bytes
    end: str

    @property
    def head(self) -> str:
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def tail(self) -> bytes:
        """What follows the head, as it came."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def chunks(self) -> list[bytes]:
        """The HTTP chunks that came whole."""
        found, rest = [], self.tail
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            found.append(rest[:length])
            rest = rest[length + 2 :]
        return found

    @property
    def events(self) -> bytes:
        return b"".join(self.chunks)


def ask(mock: MockVLLM, behaviour: Behaviour, *, close: bool = True, **more: Any) -> Seen:
    """Script `behaviour`, send one chat request, and read all that comes."""
    mock.script(behaviour)
    body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], **more}
    payload = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\n"
    head += f"Content-Length: {len(payload)}\r\n" + "Connection: close\r\n" * close
    with socket.create_connection(("127.0.0.1", mock.port), timeout=5) as plug:
        plug.sendall(head.encode() + b"\r\n" + payload)
        if not close:
            plug.settimeout(SILENCE)
        return read(plug, mock)


def read(plug: socket.socket, mock: MockVLLM) -> Seen:
    """All until the connection ends, or until the mock was asked three times and does no more.

    Silence alone would prove little on a busy machine.
    """
    raw, before, quiet = b"", None, 0
    while quiet < 3:
        try:
            part = plug.recv(65536)
        except ConnectionResetError:
            return Seen(raw, "rst")
        except TimeoutError:
            now = [(seen.chunks_sent, seen.outcome) for seen in mock.requests()]
            quiet = quiet + 1 if now and now == before else 0
            before = now
            continue
        if not part:
            return Seen(raw, "fin")
        raw, quiet = raw + part, 0
    return Seen(raw, "open")


def stream(mock: MockVLLM, behaviour: Behaviour, *, close: bool = True, **more: Any) -> Seen:
    return ask(mock, behaviour, close=close, stream=True, **more)


def shown(events: bytes) -> str:
    """The text of the deltas in plain events."""
    lines = [line[6:] for line in events.split(b"\n\n") if line.startswith(b"data: {")]
    choices = [json.loads(line)["choices"] for line in lines]
    return "".join(c[0]["delta"].get("content", "") for c in choices if c)


# The head of the answer


def test_any_status_comes_with_its_headers_and_vllms_error_body(mock_vllm: MockVLLM) -> None:
    seen = ask(mock_vllm, Behaviour(status=429, headers={"Retry-After": "2"}))
    assert seen.head.startswith("http/1.1 429 too many requests")
    assert "retry-after: 2" in seen.head
    assert json.loads(seen.tail)["error"]["code"] == 429


def test_a_status_that_nobody_knows_is_sent_all_the_same(mock_vllm: MockVLLM) -> None:
    assert ask(mock_vllm, Behaviour(status=599)).head.startswith("http/1.1 599 unknown")


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    ("body", "kind"), [("<html>oops</html>", "text/html"), ("", "application/json")]
)
def test_a_body_of_html_or_of_nothing_can_come_with_any_status(
    mock_vllm: MockVLLM, status: int, body: str, kind: str
) -> None:
    seen = stream(mock_vllm, Behaviour(status=status, body=body, content_type=kind))
    assert f" {status} " in seen.head
    assert f"content-type: {kind}" in seen.head
    assert seen.tail == body.encode()


def test_a_scripted_sequence_is_played_in_order(mock_vllm: MockVLLM) -> None:
    mock_vllm.script({"status": 500}, {"status": 503}, {})
    body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}]}
    with httpx.Client(base_url=mock_vllm.base_url, trust_env=False, verify=False) as client:
        answers = [client.post("/chat/completions", json=body) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [500, 503, 200, 200]


@pytest.mark.parametrize(("what", "end"), [("close", "fin"), ("reset", "rst")])
def test_the_connection_can_end_before_any_header(mock_vllm: MockVLLM, what: Any, end: str) -> None:
    assert ask(mock_vllm, Behaviour(before_headers=what), close=False) == Seen(b"", end)


def test_the_connection_can_hang_before_any_header(mock_vllm: MockVLLM) -> None:
    assert ask(mock_vllm, Behaviour(before_headers="hang"), close=False) == Seen(b"", "open")


def test_garbage_can_come_in_place_of_headers(mock_vllm: MockVLLM) -> None:
    seen = ask(mock_vllm, Behaviour(before_headers="garbage", garbage="\x00\xffno http"))
    assert seen == Seen(b"\x00\xffno http", "fin")


def test_an_interim_response_comes_before_the_final_one(mock_vllm: MockVLLM) -> None:
    seen = ask(mock_vllm, Behaviour(interim=103))
    assert seen.raw.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_header_can_be_a_megabyte_long(mock_vllm: MockVLLM) -> None:
    seen = ask(mock_vllm, Behaviour(headers={"X-Long": "a" * 2**20}))
    assert len(seen.head) > 2**20


def test_http_1_0_is_delimited_by_the_end_of_the_connection(mock_vllm: MockVLLM) -> None:
    seen = stream(mock_vllm, Behaviour(http10=True), close=False)
    assert seen.head.startswith("http/1.0 200 ok")
    assert "content-length" not in seen.head
    assert "transfer-encoding" not in seen.head
    assert (shown(seen.tail), seen.end) == (DEFAULT_TEXT, "fin")


def test_a_gzipped_answer_unpacks_to_the_same(mock_vllm: MockVLLM) -> None:
    whole = ask(mock_vllm, Behaviour(gzip=True))
    assert "content-encoding: gzip" in whole.head
    message = json.loads(gzip.decompress(whole.tail))["choices"][0]["message"]
    assert message["content"] == DEFAULT_TEXT
    assert shown(gzip.decompress(stream(mock_vllm, Behaviour(gzip=True)).events)) == DEFAULT_TEXT


def test_every_event_of_a_gzipped_stream_can_be_unpacked_when_it_comes(
    mock_vllm: MockVLLM,
) -> None:
    seen = stream(mock_vllm, Behaviour(gzip=True, close_after=2))
    assert zlib.decompressobj(wbits=31).decompress(seen.events).count(b"data: ") == 2


# Pace


def test_delays_hold_back_headers_first_event_and_later_tokens(mock_vllm: MockVLLM) -> None:
    for behaviour in (
        Behaviour(delay_headers=0.12),
        Behaviour(delay_first=0.12),
        Behaviour(delay_between=0.03, tokens=5),
    ):
        for asked in (ask, stream):
            began = time.monotonic()
            asked(mock_vllm, behaviour)
            assert 0.12 <= time.monotonic() - began < 5.0


def test_the_headers_of_a_slow_stream_do_not_wait_for_its_first_token(
    mock_vllm: MockVLLM,
) -> None:
    seen = stream(mock_vllm, Behaviour(delay_first=60), close=False)
    assert seen.head.startswith("http/1.1 200")
    assert (seen.tail, seen.end) == (b"", "open")


# Cuts


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize(
    ("fault", "end"), [("close_after", "fin"), ("reset_after", "rst"), ("stall_after", "open")]
)
def test_a_stream_can_break_after_any_number_of_events(
    mock_vllm: MockVLLM, fault: str, end: str, after: int
) -> None:
    seen = stream(mock_vllm, Behaviour.from_json({fault: after}), close=False)
    assert seen.head.startswith("http/1.1 200")
    assert seen.events.count(b"data: ") == after
    assert seen.end == end


def test_a_cut_past_the_end_comes_after_done_and_before_the_last_chunk(
    mock_vllm: MockVLLM,
) -> None:
    seen = stream(mock_vllm, Behaviour(close_after=1000), close=False)
    assert seen.end == "fin"
    assert seen.events.endswith(b"data: [DONE]\n\n")
    assert not seen.raw.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("fault", "end"), [("close_after", "fin"), ("reset_after", "rst"), ("stall_after", "open")]
)
def test_a_plain_body_can_break_in_its_middle(mock_vllm: MockVLLM, fault: str, end: str) -> None:
    promised = len(ask(mock_vllm, Behaviour()).tail)
    seen = ask(mock_vllm, Behaviour.from_json({fault: 1}), close=False)
    assert f"content-length: {promised}" in seen.head
    assert 0 < len(seen.tail) < promised
    assert seen.end == end


def test_a_reset_loses_nothing_that_was_sent_before_it(mock_vllm: MockVLLM) -> None:
    behaviour = Behaviour(deltas=("~" * 2_000_000, "y"), reset_after=2)
    seen = stream(mock_vllm, behaviour, close=False)
    assert (seen.end, seen.raw.count(b"~")) == ("rst", 2_000_000)


def test_a_content_length_can_promise_too_much(mock_vllm: MockVLLM) -> None:
    whole = ask(mock_vllm, Behaviour()).tail
    seen = ask(mock_vllm, Behaviour(short_by=7), close=False)
    assert f"content-length: {len(whole) + 7}" in seen.head
    assert (len(seen.tail), seen.end) == (len(whole), "fin")


def test_json_can_be_cut_with_the_right_content_length(mock_vllm: MockVLLM) -> None:
    seen = ask(mock_vllm, Behaviour(truncate_json=True))
    assert f"content-length: {len(seen.tail)}" in seen.head
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen.tail)


# Garbage


def test_garbage_can_come_between_events_inside_the_framing(mock_vllm: MockVLLM) -> None:
    seen = stream(mock_vllm, Behaviour(garbage_after=3, garbage="\xff\xfe"))
    assert seen.chunks[3] == b"\xff\xfe"
    assert seen.raw.endswith(b"0\r\n\r\n")


def test_garbage_can_come_outside_the_framing(mock_vllm: MockVLLM) -> None:
    seen = stream(mock_vllm, Behaviour(garbage_after=1, garbage="ZZ", garbage_framed=False))
    with pytest.raises(ValueError, match="invalid literal"):
        assert seen.chunks


def test_garbage_in_a_plain_body_has_its_place_in_the_content_length(
    mock_vllm: MockVLLM,
) -> None:
    seen = ask(mock_vllm, Behaviour(garbage_after=1, garbage="\xff"))
    assert f"content-length: {len(seen.tail)}" in seen.head
    assert b"\xff" in seen.tail


def test_an_event_can_be_malformed_in_the_midst_of_good_ones(mock_vllm: MockVLLM) -> None:
    events = stream(mock_vllm, Behaviour(malformed_after=2)).events.split(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[2].removeprefix(b"data: "))
    assert json.loads(events[3].removeprefix(b"data: "))["choices"]


@pytest.mark.parametrize("after", [0, 4])
def test_an_error_event_ends_the_answer_and_done_follows_as_in_vllm(
    mock_vllm: MockVLLM, after: int
) -> None:
    events = stream(mock_vllm, Behaviour(error_after=after)).events.split(b"\n\n")
    assert json.loads(events[after].removeprefix(b"data: "))["error"]["code"] == 500
    assert events[after + 1 :] == [b"data: [DONE]", b""]


def test_an_error_event_can_say_anything_and_leave_out_done(mock_vllm: MockVLLM) -> None:
    behaviour = Behaviour(error_after=1, error={"message": "busy", "code": 429}, done=False)
    last = stream(mock_vllm, behaviour).events.split(b"\n\n")[-2]
    assert last == b'data: {"error":{"message":"busy","code":429}}'


def test_faults_combine(mock_vllm: MockVLLM) -> None:
    behaviour = Behaviour(malformed_after=1, garbage_after=2, garbage="\xff", reset_after=4)
    seen = stream(mock_vllm, behaviour, close=False)
    assert (len(seen.chunks), seen.chunks[2], seen.end) == (5, b"\xff", "rst")


# SSE


@pytest.mark.parametrize("size", [1, 7])
def test_events_can_be_split_within_a_character(mock_vllm: MockVLLM, size: int) -> None:
    seen = stream(mock_vllm, Behaviour(split=size))
    assert {len(chunk) for chunk in seen.chunks} <= set(range(size + 1))
    assert shown(seen.events) == DEFAULT_TEXT


def test_a_plain_body_split_to_bytes_is_the_same_body(mock_vllm: MockVLLM) -> None:
    body = json.loads(ask(mock_vllm, Behaviour(split=1)).tail)
    assert body["choices"][0]["message"]["content"] == DEFAULT_TEXT


@pytest.mark.parametrize(("option", "line_end"), [("crlf", b"\r\n"), ("cr", b"\r")])
def test_lines_can_end_in_all_ways_that_sse_allows(
    mock_vllm: MockVLLM, option: Any, line_end: bytes
) -> None:
    events = stream(mock_vllm, Behaviour(sse=(option,))).events
    assert shown(events.replace(line_end, b"\n")) == DEFAULT_TEXT
    assert events.endswith(b"data: [DONE]" + 2 * line_end)
    assert b"\n" not in events.replace(line_end, b"")


def test_comments_fields_and_a_mark_can_stand_around_events(mock_vllm: MockVLLM) -> None:
    behaviour = Behaviour(sse=("comments", "fields", "bom", "no_space"))
    events = stream(mock_vllm, behaviour).events
    assert events.startswith(b"\xef\xbb\xbf: keep-alive\n\nevent: message\nid: 0\nretry: 1000\n")
    assert b"\ndata:{" in events
    assert events.count(b"\xef\xbb\xbf") == 1


def test_an_event_can_have_its_json_on_many_lines(mock_vllm: MockVLLM) -> None:
    first = stream(mock_vllm, Behaviour(sse=("multiline",))).events.split(b"\n\n")[0]
    lines = first.split(b"\n")
    assert len(lines) > 5
    joined = b"\n".join(line.removeprefix(b"data: ") for line in lines)
    assert json.loads(joined)["choices"][0]["delta"]["role"] == "assistant"


def test_done_can_be_missing(mock_vllm: MockVLLM) -> None:
    seen = stream(mock_vllm, Behaviour(done=False))
    assert b"[DONE]" not in seen.events
    assert shown(seen.events) == DEFAULT_TEXT
    assert seen.raw.endswith(b"0\r\n\r\n")


def test_an_event_can_follow_done(mock_vllm: MockVLLM) -> None:
    before, after = stream(mock_vllm, Behaviour(after_done="event")).events.split(b"[DONE]")
    assert shown(before) == DEFAULT_TEXT
    assert after.startswith(b"\n\ndata: {")


def test_the_stream_can_stay_open_after_done(mock_vllm: MockVLLM) -> None:
    seen = stream(mock_vllm, Behaviour(after_done="hang"), close=False)
    assert seen.events.endswith(b"data: [DONE]\n\n")
    assert not seen.raw.endswith(b"0\r\n\r\n")
    assert seen.end == "open"


# Afterwards


@pytest.mark.parametrize(("then", "end"), [("keep", "open"), ("close", "fin"), ("reset", "rst")])
def test_the_connection_can_end_after_a_good_answer_without_a_word(
    mock_vllm: MockVLLM, then: Any, end: str
) -> None:
    seen = stream(mock_vllm, Behaviour(then=then), close=False)
    assert "connection: close" not in seen.head
    assert shown(seen.events) == DEFAULT_TEXT
    assert seen.raw.endswith(b"0\r\n\r\n")
    assert seen.end == end
