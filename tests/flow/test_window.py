"""Prompts and windows: what is too long is known by its length, or else by counting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.domain.call import Call, PromptRef
from gateway.domain.endpoints import COMPLETIONS, EMBEDDINGS, Endpoint
from gateway.domain.errors import ContextLengthExceeded, LLMError
from gateway.domain.ports import Counted
from gateway.flow import ceilings
from gateway.flow import window as rooms
from gateway.flow.ceilings import Ceilings
from gateway.flow.window import Window
from gateway.testing.fakes import FakeClock, FakeTokens, a_call


class Counts(FakeTokens):
    """A token for each four characters; says how often it was asked for the window."""

    def __init__(self, window: int | None = 1000, *, exact: bool = True) -> None:
        super().__init__(window or 0, exact=exact)
        self.ceilings = 0
        self._ceiling = window
        self.trouble: BaseException | None = None
        self.hangs = False

    async def ceiling(self, model: str) -> int | None:
        self.ceilings += 1
        await self._wait()
        return self._ceiling

    async def count_texts(self, model: str, texts: Sequence[str]) -> list[Counted]:
        await self._wait()
        return await super().count_texts(model, texts)

    async def _wait(self) -> None:
        if self.trouble is not None:
            raise self.trouble
        if self.hangs:
            await asyncio.Event().wait()


def saying(text: str) -> Call:
    call = a_call()
    call.body["messages"] = [{"role": "user", "content": text}]
    return call


def asking(endpoint: Endpoint, **body: Any) -> Call:
    call = a_call(endpoint=endpoint)
    call.body = {"model": "m", **body}
    return call


def window_of(
    tokens: FakeTokens, clock: FakeClock | None = None, covers: Callable[[str], bool] = bool
) -> Window:
    return Window(tokens, Ceilings(tokens, clock or FakeClock()), covers)


async def excess(tokens: FakeTokens, call: Call) -> ContextLengthExceeded | None:
    return await window_of(tokens).excess(call, "m", call.body)


async def test_a_short_prompt_asks_nobody_anything() -> None:
    tokens = Counts()
    assert await excess(tokens, saying("x" * 500)) is None
    assert tokens.ceilings == 0


@pytest.mark.parametrize("chars", [999, 2990])
async def test_a_prompt_that_fits_or_nearly_certainly_does_is_not_counted(chars: int) -> None:
    tokens = Counts()
    assert await excess(tokens, saying("x" * chars)) is None
    assert tokens.texts == []


async def test_a_prompt_that_may_be_too_long_is_counted() -> None:
    assert await excess(Counts(), saying("x" * 3980)) is None
    found = await excess(Counts(), saying("x" * 4100))
    assert found is not None
    assert (found.status, found.code, found.param) == (413, "context_length_exceeded", "messages")
    assert "maximum context length is 1000 tokens" in found.public


async def test_a_huge_prompt_is_refused_without_counting_it() -> None:
    tokens = Counts()
    assert await excess(tokens, saying(" " * 128_200)) is not None
    assert tokens.texts == []


async def test_counting_ends_when_there_is_too_much() -> None:
    tokens = Counts(window=100_000)
    assert await excess(tokens, saying("x" * 8_000_000)) is not None
    assert sum(len(text) for texts in tokens.texts for text in texts) < 1_000_000


@pytest.mark.parametrize(
    ("call", "param"),
    [
        (asking(COMPLETIONS, prompt="x" * 4100), "prompt"),
        (asking(COMPLETIONS, prompt=["short", "x" * 4100]), "prompt"),
        (asking(COMPLETIONS, prompt=[7] * 1000), "prompt"),
        (asking(EMBEDDINGS, input=["a", [7] * 1001]), "input"),
    ],
)
async def test_each_prompt_of_a_request_counts_by_itself(call: Call, param: str) -> None:
    found = await excess(Counts(), call)
    assert found is not None
    assert found.param == param


@pytest.mark.parametrize(
    "call",
    [
        asking(COMPLETIONS, prompt=["x" * 3000, "x" * 3000]),
        asking(COMPLETIONS, prompt=[7] * 999),
        asking(EMBEDDINGS, input=[7] * 1000),
        asking(EMBEDDINGS, input="x" * 4100, truncate_prompt_tokens=100),
    ],
)
async def test_what_fits_passes(call: Call) -> None:
    assert await excess(Counts(), call) is None


async def test_a_prompt_files_call_has_been_fitted_already() -> None:
    call = saying("x" * 9000)
    call.prompt = PromptRef("code/explain", "1.0.0", "abc")
    assert await excess(Counts(), call) is None


@pytest.mark.parametrize("tokens", [Counts(None), Counts(exact=False)])
async def test_where_nobody_can_tell_the_replica_decides(tokens: Counts) -> None:
    assert await excess(tokens, saying("x" * 9000)) is None


@pytest.mark.parametrize("broken", ["hangs", "fails"])
async def test_a_count_that_does_not_come_in_time_holds_nobody_up(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ceilings, "_ASK_SECONDS", 0.01)
    monkeypatch.setattr(rooms, "_COUNT_SECONDS", 0.01)
    tokens, clock = Counts(), FakeClock(1.0)
    window, call = window_of(tokens, clock), saying("x" * 9000)

    def breaks(now: bool) -> None:
        tokens.hangs = now and broken == "hangs"
        tokens.trouble = LLMError() if now and broken == "fails" else None

    breaks(True)
    assert await window.excess(call, "m", call.body) is None
    assert await window.excess(call, "m", call.body) is None
    assert tokens.ceilings == 1, "not asked again at once"
    breaks(False)
    clock.now = 7.0
    assert await window.excess(call, "m", call.body) is not None
    breaks(True)
    assert await window.excess(call, "m", call.body) is None, "the window is known, the count not"


async def test_a_window_is_asked_for_once_in_a_while_and_only_where_it_is_wanted() -> None:
    tokens, clock = Counts(), FakeClock()
    window, call = window_of(tokens, clock, lambda model: model == "m"), saying("x" * 9000)
    clock.now = 1.0
    for _ in range(3):
        assert await window.excess(call, "m", call.body) is not None
    assert tokens.ceilings == 1
    clock.now = 32.0
    await window.excess(call, "m", call.body)
    assert tokens.ceilings == 2
    assert await window.excess(call, "other", call.body) is None
