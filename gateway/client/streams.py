"""A streamed answer on its way: AnswerStream and its asynchronous twin."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Generic, TypeVar

import httpx

from gateway.client.address import Address
from gateway.client.errors import InvalidAnswer, StreamTruncated
from gateway.client.events import DeltaEvent, Event, EventReader
from gateway.client.questions import Question
from gateway.client.results import Answer

R = TypeVar("R", bound=Answer, covariant=True)
_CUT = "the stream was left before its result"


def _check(response: httpx.Response) -> None:
    kind = response.headers.get("content-type", "")
    if not kind.startswith("text/event-stream"):
        raise InvalidAnswer(f"{response.request.url} answers with {kind or 'nothing'}, no stream")


class AnswerStream(Generic[R]):
    """Iterate over its events once; the last is a ResultEvent, or StreamTruncated is raised.

    Leave its `with` block early and the connection is closed, which stops the model.
    """

    def __init__(self, address: Address, question: Question[R], response: httpx.Response) -> None:
        _check(response)
        self._reader = EventReader(question)
        self._events = self._read(address, response)
        self.request_id: str = response.headers.get("x-request-id", "")

    def _read(self, address: Address, response: httpx.Response) -> Generator[Event[R]]:
        with address.telling(streaming=True):
            for chunk in response.iter_bytes():
                yield from self._reader.feed(chunk)
                if self._reader.result is not None:
                    return
        yield from self._reader.end()

    def close(self) -> None:
        """Read no more; leaving the block does it."""
        self._events.close()

    def __iter__(self) -> Iterator[Event[R]]:
        return self._events

    def text(self) -> Iterator[str]:
        """The pieces of text alone, as they come."""
        for event in self._events:
            if isinstance(event, DeltaEvent):
                yield event.text

    def result(self) -> R:
        """The result; what has not been read yet is read first."""
        for _ in self._events:
            pass
        if self._reader.result is None:
            raise StreamTruncated(_CUT)
        return self._reader.result


class AsyncAnswerStream(Generic[R]):
    """As AnswerStream, with `async for` and `await`."""

    def __init__(self, address: Address, question: Question[R], response: httpx.Response) -> None:
        _check(response)
        self._reader = EventReader(question)
        self._events = self._read(address, response)
        self.request_id: str = response.headers.get("x-request-id", "")

    async def _read(self, address: Address, response: httpx.Response) -> AsyncGenerator[Event[R]]:
        with address.telling(streaming=True):
            async for chunk in response.aiter_bytes():
                for event in self._reader.feed(chunk):
                    yield event
                if self._reader.result is not None:
                    return
        for event in self._reader.end():
            yield event

    async def close(self) -> None:
        """Read no more; leaving the block does it."""
        await self._events.aclose()

    def __aiter__(self) -> AsyncIterator[Event[R]]:
        return self._events

    async def text(self) -> AsyncIterator[str]:
        """The pieces of text alone, as they come."""
        async for event in self._events:
            if isinstance(event, DeltaEvent):
                yield event.text

    async def result(self) -> R:
        """The result; what has not been read yet is read first."""
        async for _ in self._events:
            pass
        if self._reader.result is None:
            raise StreamTruncated(_CUT)
        return self._reader.result
