"""AssistClient: `/api/ai/*` of a gateway, over HTTP, with types."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from gateway.client import questions
from gateway.client.address import Address, answer_of, refused
from gateway.client.methods import named_after
from gateway.client.questions import Question
from gateway.client.results import Answer
from gateway.client.streams import AnswerStream

P = ParamSpec("P")
R = TypeVar("R", bound=Answer)


def _sent(
    make: Callable[P, Question[R]],
) -> Callable[Concatenate[AssistClient, P], R]:
    def method(self: AssistClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.send(make(*args, **kwargs))

    return named_after(make, method)


def _streamed(
    make: Callable[P, Question[R]],
) -> Callable[Concatenate[AssistClient, P], AbstractContextManager[AnswerStream[R]]]:
    def method(
        self: AssistClient, /, *args: P.args, **kwargs: P.kwargs
    ) -> AbstractContextManager[AnswerStream[R]]:
        return self.stream(make(*args, **kwargs))

    return named_after(make, method)


class AssistClient:
    """A gateway at `base_url` (else GATEWAY_URL, else http://127.0.0.1:8000).

    `api_key` is GATEWAY_API_KEY where it is left out. `timeout` is in seconds, for each whole
    answer; without it the gateway's own limits hold. Keeps connections open: use it as a context
    manager, or close it. Threads may share one. Every failure is an AssistError.

    Each method takes what the function of its name in `gateway.client.questions` takes.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        self._address = Address.of(base_url, api_key, timeout)
        self._http = self._address.opened(httpx.Client)

    @property
    def base_url(self) -> str:
        """The address that it asks."""
        return self._address.url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; what still runs on them is stopped."""
        self._http.close()

    def send(self, question: Question[R]) -> R:
        """The whole answer."""
        built = self._http.build_request(**self._address.request(question, stream=False))
        with self._address.telling():
            response = self._http.send(built)
        return answer_of(question, response)

    @contextmanager
    def stream(self, question: Question[R]) -> Iterator[AnswerStream[R]]:
        """The answer as it comes. Leaving the block closes the connection."""
        built = self._http.build_request(**self._address.request(question, stream=True))
        with self._address.telling():
            response = self._http.send(built, stream=True)
        try:
            if response.status_code != 200:
                with self._address.telling():
                    response.read()
                raise refused(response)
            with closing(AnswerStream(self._address, question, response)) as answer:
                yield answer
        finally:
            response.close()

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
