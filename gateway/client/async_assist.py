"""AsyncAssistClient: AssistClient for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from gateway.client import questions
from gateway.client.address import Address, answer_of, refused
from gateway.client.methods import named_after
from gateway.client.questions import Question
from gateway.client.results import Answer
from gateway.client.streams import AsyncAnswerStream

P = ParamSpec("P")
R = TypeVar("R", bound=Answer)


def _sent(
    make: Callable[P, Question[R]],
) -> Callable[Concatenate[AsyncAssistClient, P], Coroutine[Any, Any, R]]:
    async def method(self: AsyncAssistClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.send(make(*args, **kwargs))

    return named_after(make, method)


def _streamed(
    make: Callable[P, Question[R]],
) -> Callable[Concatenate[AsyncAssistClient, P], AbstractAsyncContextManager[AsyncAnswerStream[R]]]:
    def method(
        self: AsyncAssistClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> AbstractAsyncContextManager[AsyncAnswerStream[R]]:
        return self.stream(make(*args, **kwargs))

    return named_after(make, method)


class AsyncAssistClient:
    """As AssistClient, with `await`. A task that is cancelled closes its connection, which stops
    the model. A file given as a path is read at once: give a File where that may take long.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        self._address = Address.of(base_url, api_key, timeout)
        self._http = self._address.opened(httpx.AsyncClient)

    @property
    def base_url(self) -> str:
        """The address that it asks."""
        return self._address.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; what still runs on them is stopped."""
        await self._http.aclose()

    async def send(self, question: Question[R]) -> R:
        """The whole answer."""
        built = self._http.build_request(**self._address.request(question, stream=False))
        with self._address.telling():
            response = await self._http.send(built)
        return answer_of(question, response)

    @asynccontextmanager
    async def stream(self, question: Question[R]) -> AsyncIterator[AsyncAnswerStream[R]]:
        """The answer as it comes. Leaving the block closes the connection."""
        built = self._http.build_request(**self._address.request(question, stream=True))
        with self._address.telling():
            response = await self._http.send(built, stream=True)
        try:
            if response.status_code != 200:
                with self._address.telling():
                    await response.aread()
                raise refused(response)
            answer = AsyncAnswerStream(self._address, question, response)
            try:
                yield answer
            finally:
                await answer.close()
        finally:
            await response.aclose()

    explain = _sent(questions.explain)
    rewrite = _sent(questions.rewrite)
    docstring = _sent(questions.docstring)
    fix = _sent(questions.fix)
    review = _sent(questions.review)
    tests = _sent(questions.tests)
    commit_message = _sent(questions.commit_message)
    chat = _sent(questions.chat)
    preview = _sent(questions.preview)

    explain_stream = _streamed(questions.explain)
    rewrite_stream = _streamed(questions.rewrite)
    docstring_stream = _streamed(questions.docstring)
    fix_stream = _streamed(questions.fix)
    review_stream = _streamed(questions.review)
    tests_stream = _streamed(questions.tests)
    commit_message_stream = _streamed(questions.commit_message)
    chat_stream = _streamed(questions.chat)
