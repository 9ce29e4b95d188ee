"""An answer and a behaviour as the steps of a connection: bytes to write, pauses, an end."""

import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from gateway.testing.mock_answers import Answer
from gateway.testing.mock_script import Behaviour, Then
from gateway.testing.mock_stream import Event

FOREVER = 86_400.0
_DONE = Event(b"[DONE]")
_MALFORMED = Event(b'{"id": "chatcmpl-0", "object": "chat.completion.chunk", "choices": [{"ind')
_ENGINE_ERROR = {
    "message": "EngineCore encountered an issue. See stack trace (above) for the root cause.",
    "type": "InternalServerError",
    "param": None,
    "code": 500,
}


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes; `chunks` is 1 when they complete an event or half a body."""

    payload: bytes
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of the connection. No step counts after it."""

    how: Then


Step = Send | Pause | End
_Piece = tuple[bytes, float]  # a chunk of the body, and the seconds to wait before it


def play(answer: Answer, behaviour: Behaviour, keep_alive: bool) -> Iterator[Step]:
    """All that a connection does for one request; the last step is an End."""
    yield Pause(behaviour.delay_headers)
    if behaviour.before_headers != "answer":
        yield from _no_headers(behaviour)
    if behaviour.interim is not None:
        yield Send(_status_line(behaviour.interim, behaviour) + b"\r\n")
    kept = keep_alive and not behaviour.http10
    if answer.events is None:
        yield Pause(behaviour.delay_first + behaviour.delay_between * max(0, answer.tokens - 1))
        yield from _whole(answer, behaviour, kept)
    else:
        yield from _stream(answer, behaviour, kept)
    yield End(behaviour.then if kept else "close")


def _no_headers(behaviour: Behaviour) -> Iterator[Step]:
    if behaviour.before_headers == "garbage":
        yield Send(_garbage(behaviour))
    if behaviour.before_headers == "hang":
        yield Pause(FOREVER)
    yield End("reset" if behaviour.before_headers == "reset" else "close")


def _whole(answer: Answer, behaviour: Behaviour, kept: bool) -> Iterator[Step]:
    body = answer.body
    if behaviour.truncate_json:
        body = body[: len(body) // 2]
    if behaviour.gzip:
        body = zlib.compress(body, wbits=31)
    promised = len(body) + behaviour.short_by
    if behaviour.garbage_after is not None:
        promised += len(_garbage(behaviour))
    yield Send(_head(answer, behaviour, kept, f"content-length: {promised}"))
    half = (len(body) + 1) // 2
    pieces = [(piece, 0.0) for piece in (body[:half], body[half:]) if piece]
    yield from _body(pieces, behaviour, _Framing(behaviour, streamed=False))
    if behaviour.short_by:
        yield End("close")


def _stream(answer: Answer, behaviour: Behaviour, kept: bool) -> Iterator[Step]:
    yield Send(_head(answer, behaviour, kept, "transfer-encoding: chunked"))
    framing = _Framing(behaviour, streamed=True)
    pieces: list[_Piece] = []
    for number, event in enumerate(_with_faults(list(answer.events or ()), behaviour)):
        paced = behaviour.delay_between if event.paced else 0.0
        pause = paced if number else behaviour.delay_first
        pieces.append((sse(event.payload, behaviour, number), pause))
    yield from _body(pieces, behaviour, framing)
    if behaviour.after_done == "hang":
        yield Pause(FOREVER)
    yield from framing.finish()


def _with_faults(events: list[Event], behaviour: Behaviour) -> list[Event]:
    """The events of the stream with `[DONE]`, and with what the behaviour does to them."""
    again = events[-1:]
    if behaviour.error_after is not None:
        error = orjson.dumps({"error": dict(behaviour.error or _ENGINE_ERROR)})
        events = [*events[: behaviour.error_after], Event(error)]
    if behaviour.malformed_after is not None:
        events.insert(behaviour.malformed_after, _MALFORMED)
    if behaviour.done:
        events.append(_DONE)
    return events + again if behaviour.after_done == "event" else events


def _body(pieces: Sequence[_Piece], behaviour: Behaviour, framing: "_Framing") -> Iterator[Step]:
    """The pieces, with the faults that happen between them."""

    def due(after: int | None) -> bool:
        return after is not None and min(after, len(pieces)) == place

    for place in range(len(pieces) + 1):
        if due(behaviour.garbage_after):
            garbage = _garbage(behaviour)
            yield from framing.frame(garbage) if behaviour.garbage_framed else [Send(garbage)]
        if due(behaviour.stall_after):
            yield Pause(FOREVER)
        if due(behaviour.close_after):
            yield End("close")
        if due(behaviour.reset_after):
            yield End("reset")
        if place < len(pieces):
            payload, pause = pieces[place]
            yield Pause(pause)
            yield from framing.frame(payload, chunks=1)


def sse(payload: bytes, behaviour: Behaviour, number: int) -> bytes:
    """`payload` as the event `number` of a stream, in the behaviour's dialect."""
    dialect = behaviour.sse
    line_end = b"\r\n" if "crlf" in dialect else b"\r" if "cr" in dialect else b"\n"
    lines = [b": keep-alive", b""] if "comments" in dialect else []
    if "fields" in dialect:
        lines += [b"event: message", b"id: %d" % number, b"retry: 1000"]
    parts = [payload]
    if "multiline" in dialect and payload not in (_DONE.payload, _MALFORMED.payload):
        parts = orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).split(b"\n")
    field = b"data:" if "no_space" in dialect else b"data: "
    lines += [field + part for part in parts]
    mark = b"\xef\xbb\xbf" if "bom" in dialect and not number else b""
    return mark + b"".join(line + line_end for line in [*lines, b""])


class _Framing:
    """How the bytes of a body go on the wire: packed, split, in HTTP chunks or bare."""

    def __init__(self, behaviour: Behaviour, streamed: bool) -> None:
        self._size = behaviour.split
        self._chunked = streamed and not behaviour.http10
        self._packer = zlib.compressobj(wbits=31) if streamed and behaviour.gzip else None

    def frame(self, payload: bytes, chunks: int = 0) -> Iterator[Step]:
        if self._packer:
            payload = self._packer.compress(payload) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        yield from self._slices(payload, chunks)

    def finish(self) -> Iterator[Step]:
        if self._packer:
            yield from self._slices(self._packer.flush(), 0)
        if self._chunked:
            yield Send(b"0\r\n\r\n")

    def _slices(self, payload: bytes, chunks: int) -> Iterator[Step]:
        size = self._size or len(payload) or 1
        for at in range(0, len(payload), size):
            part = payload[at : at + size]
            framed = b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part
            yield Send(framed, chunks if at + size >= len(payload) else 0)


def _head(answer: Answer, behaviour: Behaviour, kept: bool, length: str) -> bytes:
    fields = {
        "date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "server": "uvicorn",
        "content-type": answer.content_type,
    }
    if not behaviour.http10:
        name, value = length.split(": ")
        fields[name] = value
    if behaviour.gzip:
        fields["content-encoding"] = "gzip"
    if not kept:
        fields["connection"] = "close"
    fields |= {name.lower(): value for name, value in behaviour.headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return _status_line(answer.status, behaviour) + lines.encode("latin-1") + b"\r\n"


def _status_line(status: int, behaviour: Behaviour) -> bytes:
    known = status in HTTPStatus.__members__.values()
    phrase = HTTPStatus(status).phrase if known else "Unknown"
    return f"HTTP/{'1.0' if behaviour.http10 else '1.1'} {status} {phrase}\r\n".encode("ascii")


def _garbage(behaviour: Behaviour) -> bytes:
    return behaviour.garbage.encode("latin-1")
