"""Server-sent events as bytes, and StreamWatch, which knows when an OpenAI stream is over."""

from __future__ import annotations

import re
from typing import Any

import orjson

from gateway.domain.call import Usage

DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
_BOM = b"\xef\xbb\xbf"

# Lines that server-sent events know; any other one is garbage to us.
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
# So many broken events one after the other are no accident: the replica babbles.
_BABBLE = 8

# What vLLM ends each chunk with where it is asked to count. In JSON it can only be a key, and only
# that of the whole: nothing but the end of the event may follow.
_COUNT_KEY = b',"usage":{"'
_COUNT = re.compile(rb',"usage":(\{"[a-z_]+":[^{}]*\})\}(?=\n\n)')

_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


def events(whole: bytes) -> list[bytes]:
    """Split bytes that end at an event border into events, each with its blank line."""
    found, start = [], 0
    for match in _BOUNDARY.finditer(whole):
        found.append(whole[start : match.end()])
        start = match.end()
    if start < len(whole):
        found.append(whole[start:])
    return found


def data_of(event: bytes) -> bytes | None:
    """The joined `data:` lines of one event; None when it has none (a comment, say)."""
    lines = []
    for line in _LINE.split(event.removeprefix(_BOM)):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
    return b"\n".join(lines) if lines else None


def encode(payload: bytes, event: str | None = None) -> bytes:
    """One event with this payload, which must hold no line break (JSON never does)."""
    name = b"event: %s\n" % event.encode() if event else b""
    return b"%sdata: %s\n\n" % (name, payload)


class EventTooLarge(Exception):
    """An event passes the limit of bytes before its end is seen."""


class WholeEvents:
    """Passes bytes on only up to the last event border, so that whatever is sent can be followed
    by an event of our own. Bytes are never changed."""

    __slots__ = ("_held", "_limit")

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        self._held = bytearray()
        self._limit = limit

    @property
    def held(self) -> bytes:
        """The begun event that has no end yet."""
        return bytes(self._held)

    def feed(self, chunk: bytes) -> bytes:
        """Whole events so far; EventTooLarge when one grows past the limit."""
        if not self._held and chunk.endswith(b"\n\n"):
            return chunk
        # A border may straddle two chunks: look from three bytes before the new one.
        start = max(0, len(self._held) - 3)
        self._held += chunk
        end = 0
        for match in _BOUNDARY.finditer(self._held, start):
            end = match.end()
        whole = bytes(self._held[:end])
        del self._held[:end]
        if len(self._held) > self._limit:
            raise EventTooLarge(f"one event is longer than {self._limit} bytes")
        return whole


class StreamWatch:
    """Follows one OpenAI stream on its way through and knows how it ended.

    The bytes pass untouched; a chunk's JSON is parsed only where it says more than text. Taken
    out of the stream are `[DONE]` and what follows it (the engine sends it once the end is known
    to be real), events that are not OpenAI's at all, lines that are no field, an error event, all
    but one event of usage, and with `hide_usage` that one too: only we had asked for it. With
    `hide_counts` the usage within other chunks goes as well, and `counted` reads the last of it.
    `choices` is how many answers the stream is to bring: `whole` is True once all of them have
    finished.
    """

    __slots__ = (
        "_choices",
        "_count",
        "_ended",
        "_hide_counts",
        "_hide_usage",
        "_in_a_row",
        "_told_usage",
        "_usage",
        "_whole",
        "done",
        "error",
        "finish_reason",
        "id",
        "malformed",
        "model",
        "stop_reason",
        "usage",
        "whole",
    )

    def __init__(self, *, hide_usage: bool, hide_counts: bool = False, choices: int = 1) -> None:
        self._hide_usage = hide_usage
        self._hide_counts = hide_counts
        self._count = b""
        self._choices = choices
        self._whole = WholeEvents()
        self._ended: set[object] = set()
        self._in_a_row = 0
        self._told_usage = False
        self._usage = b""
        self.finish_reason = ""
        self.stop_reason: str | int | None = None
        self.usage: Usage | None = None
        self.model = ""
        self.id = ""
        self.error: dict[str, Any] | None = None
        self.done = False
        self.whole = False
        self.malformed = 0

    @property
    def complete(self) -> bool:
        """Whether this is the real end: the replica's own word for it, after a finish_reason."""
        return self.whole or (self.done and bool(self.finish_reason))

    @property
    def babbles(self) -> bool:
        """Whether nothing but garbage has come for a while."""
        return self._in_a_row >= _BABBLE

    def feed(self, chunk: bytes) -> bytes:
        """What the client may have now. EventTooLarge on an endless event."""
        whole = self._whole.feed(chunk)
        if not whole:
            return whole
        lines = whole.count(b"\n")
        bare = self._uncounted(whole, lines) if self._hide_counts else whole
        if self._plain(bare, lines):
            self._in_a_row = 0
            return bare
        return b"".join([self._keep(event) for event in events(whole)])

    @property
    def counted(self) -> Usage | None:
        """What had been used when the last chunk came, as the replica has told; None if it never
        did. Read only now: nobody needs it of a stream that comes to its end."""
        try:
            last = Usage.read(orjson.loads(self._count)) if self._count else None
        except orjson.JSONDecodeError:
            last = None
        if last is None or (self.usage is not None and self.usage.completion >= last.completion):
            return self.usage
        return last

    def _uncounted(self, whole: bytes, lines: int) -> bytes:
        """Without the usage that each event ends with, in vLLM's way of writing it; any other way
        is left to `_keep`, as is an event that is about nothing else. No chunk is parsed for
        this."""
        at = whole.rfind(_COUNT_KEY)
        if at < 0:
            return whole
        if lines == 2 and whole.find(b"}", at) == len(whole) - 4 and whole.endswith(b"}}\n\n"):
            # One event, as most are: faster than the pattern.
            if not whole.startswith(b"}]", at - 2):
                return whole
            self._count = whole[at + 9 : -3]
            return whole[:at] + b"}\n\n"
        last = _COUNT.search(whole, at)
        if last is None or b'"choices":[]' in whole:
            return whole
        self._count = last[1]
        return _COUNT.sub(b"}", whole)

    def end(self) -> bytes:
        """The upstream has closed: a last event that lacks only its blank line still counts."""
        rest = self._whole.held
        if not rest.strip() or not (kept := self._keep(rest)):
            return b""
        return kept.rstrip(b"\r\n") + b"\n\n"

    def _plain(self, whole: bytes, lines: int) -> bool:
        """True when there is nothing to read in so many lines but deltas. Quotes inside delta text
        are escaped in JSON, so these names, with their own quotes, can only be keys; and so are
        line breaks, so that two for each event leave no room for anything else."""
        return (
            bool(self.model)
            and whole.startswith(b"data: {")
            and whole.endswith(b"}\n\n")
            and (lines == 2 or lines == 2 + 2 * whole.count(b"}\n\ndata: {"))
            and whole.count(b'"finish_reason"') == whole.count(b'"finish_reason":null')
            and b'"usage"' not in whole
            and b'"error"' not in whole
            and b"[DONE]" not in whole
        )

    def _keep(self, event: bytes) -> bytes:
        """What may pass of one event: all of it, only its sane lines, or nothing."""
        if self.done or self.error is not None:
            return b""
        lines = [line for line in _LINE.split(event.removeprefix(_BOM)) if line]
        sane = [line for line in lines if line.startswith(_FIELDS)]
        if not sane:
            return self._skip() if lines else event
        kept = event
        if len(sane) < len(lines):
            self.malformed += 1
            kept = b"\n".join(sane) + b"\n\n"
        payload = data_of(kept)
        if payload is None:
            return kept
        if payload.strip() == b"[DONE]":
            self.done = True
            return self._usage if self.complete and not self._told_usage else b""
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return self._skip()
        if not isinstance(chunk, dict):
            return self._skip()
        self._in_a_row = 0
        if not self._read(chunk):
            return b""
        if not chunk.get("usage"):
            return kept
        if chunk.get("choices") == []:
            return self._usage_once(kept)
        return self._lean(chunk) if self._hide_counts else kept

    def _lean(self, chunk: dict[str, Any]) -> bytes:
        """The event without its usage. Of one that ends an answer it may be all that is ever told:
        then it goes out at the end, in an event of its own."""
        usage = chunk.pop("usage")
        if self.whole and not self._hide_usage:
            self._usage = encode(orjson.dumps({**chunk, "choices": [], "usage": usage}))
        return encode(orjson.dumps(chunk))

    def _usage_once(self, event: bytes) -> bytes:
        """The event of usage alone is the last of an answer. Before its end it is kept back: if
        the end never comes, whoever goes on tells the usage of both."""
        if self._told_usage:
            return b""
        if self.whole:
            self._told_usage = True
            return event
        self._usage = event
        return b""

    def _skip(self) -> bytes:
        self.malformed += 1
        self._in_a_row += 1
        return b""

    def _read(self, chunk: dict[str, Any]) -> bool:
        if chunk.get("error"):
            error = chunk["error"]
            self.error = error if isinstance(error, dict) else {"message": str(error)}
            return False
        self.model = self.model or str(chunk.get("model") or "?")
        self.id = self.id or str(chunk.get("id") or "?")
        self.usage = Usage.read(chunk.get("usage")) or self.usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and isinstance(choice.get("finish_reason"), str):
                self._finish(choice)
        return not (self._hide_usage and choices == [] and chunk.get("usage"))

    def _finish(self, choice: dict[str, Any]) -> None:
        self.finish_reason = choice["finish_reason"]
        self.stop_reason = choice.get("stop_reason")
        self._ended.add(choice.get("index", 0))
        self.whole = len(self._ended) >= self._choices
