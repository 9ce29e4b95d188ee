"""What a stream brings: typed events, read from server-sent events by EventReader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson

from gateway.client.errors import InvalidAnswer, StreamTruncated, Trouble
from gateway.client.questions import Question
from gateway.client.results import Answer, ContextReport, Edit
from gateway.client.shapes import read
from gateway.domain.sse import EventTooLarge, WholeEvents, data_of, events

R = TypeVar("R", bound=Answer, covariant=True)


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """The first: what went into the prompt."""

    context: ContextReport


@dataclass(frozen=True, slots=True)
class DeltaEvent:
    """A piece of what the model says, as it says it."""

    text: str


@dataclass(frozen=True, slots=True)
class HunkEvent:
    """A change that is final but for the result's word: show it as a preview."""

    edit: Edit


@dataclass(frozen=True, slots=True)
class RepairEvent:
    """The answer could not be used and is asked for again; that one's text is not streamed."""

    problem: str


@dataclass(frozen=True, slots=True)
class ResultEvent(Generic[R]):
    """The last, and the only one that counts."""

    result: R


Event = ContextEvent | DeltaEvent | HunkEvent | RepairEvent | ResultEvent[R]


class EventReader(Generic[R]):
    """Bytes of a stream in, events out. StreamTruncated for an error event, and from `end` when
    there was no result."""

    def __init__(self, question: Question[R]) -> None:
        self._question = question
        self._whole = WholeEvents()
        self.result: R | None = None

    def feed(self, chunk: bytes) -> Iterator[Event[R]]:
        """The events that are whole now."""
        try:
            whole = self._whole.feed(chunk)
        except EventTooLarge:
            raise InvalidAnswer("an event of the stream passes 16 MiB") from None
        yield from self._read(whole)

    def end(self) -> Iterator[Event[R]]:
        """The stream has closed: a last event may lack its blank line."""
        yield from self._read(self._whole.held)
        if self.result is None:
            raise StreamTruncated("the stream ended before its result; ask again")

    def _read(self, whole: bytes) -> Iterator[Event[R]]:
        for block in events(whole):
            payload = data_of(block)
            if self.result is not None or payload is None or payload == b"[DONE]":
                continue
            try:
                said = orjson.loads(payload)
            except orjson.JSONDecodeError:
                if block.endswith((b"\n\n", b"\r\n\r\n")):
                    raise InvalidAnswer("an event of the stream is no JSON") from None
                return  # cut off in the middle
            yield from self._event(_name(block), said)

    def _event(self, name: str, said: Any) -> Iterator[Event[R]]:
        if trouble := Trouble.read(said):
            wait = trouble.extra.get("retry_after")
            if isinstance(wait, int | float):
                trouble = Trouble.read(said, retry_after=float(wait))
            raise StreamTruncated("the gateway broke the stream off", trouble)
        if name == "context":
            yield ContextEvent(read(ContextReport, said, where="the context"))
        elif name == "hunk":
            yield HunkEvent(read(Edit, said, where="a hunk"))
        elif name == "repair":
            yield RepairEvent(str(said.get("problem", "")) if isinstance(said, dict) else "")
        elif name == "result":
            self.result = self._question.read(said)
            yield ResultEvent(self.result)
        elif name == "delta" and (text := _text(said)):
            yield DeltaEvent(text)
        # Events of another name are of a newer gateway: what counts is in the result.


def _name(block: bytes) -> str:
    for line in block.splitlines():
        if line.startswith(b"event:"):
            return line[6:].strip().decode("utf-8", "replace")
    return ""


def _text(said: Any) -> str:
    """Of a delta: `{"text": …}`, or a chunk as OpenAI has it."""
    if not isinstance(said, dict):
        return ""
    if isinstance(said.get("text"), str):
        return str(said["text"])
    choices = said.get("choices")
    pieces = []
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict) and isinstance(delta.get("content"), str):
            pieces.append(delta["content"])
    return "".join(pieces)
