"""Worker processes ask each other: all that live are heard, and none is waited for in vain."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.web import siblings
from gateway.web.siblings import Question, Siblings


@asynccontextmanager
async def workers(folder: Path, *names: str) -> AsyncIterator[list[Siblings]]:
    """So many, each of which says its name and what it was asked."""
    every = [Siblings(folder, len(names), name) for name in names]
    async with AsyncExitStack() as stack:
        for name, one in zip(names, every, strict=True):

            async def say(question: Question, name: str = name) -> bytes:
                return f"{name}: {question['word']}".encode()

            await stack.enter_async_context(one.answering({"say": say}))
        yield every


ASKED = {"ask": "say", "word": "hi"}


async def test_each_of_the_others_is_asked_and_nobody_asks_itself(tmp_path: Path) -> None:
    async with workers(tmp_path, "a", "b", "c") as (one, _, last):
        assert sorted((await one.ask(ASKED))[0]) == [b"b: hi", b"c: hi"]
        assert sorted((await last.ask(ASKED))[0]) == [b"a: hi", b"b: hi"]
        assert (await one.ask(ASKED))[1] == 0
    assert os.listdir(tmp_path) == []


async def test_the_only_process_has_nobody_to_ask_and_listens_nowhere() -> None:
    alone = Siblings(None)
    async with alone.answering({}):
        assert await alone.ask(ASKED) == ([], 0)


async def test_nothing_to_say_is_an_answer_too(tmp_path: Path) -> None:
    async def nothing(_: Question) -> bytes:
        return b""

    one, other = Siblings(tmp_path, 2, "a"), Siblings(tmp_path, 2, "b")
    async with one.answering({}), other.answering({"say": nothing}):
        assert await one.ask(ASKED) == ([b""], 0)


async def test_one_that_was_killed_is_silent_and_its_socket_goes(tmp_path: Path) -> None:
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(dead))
    async with workers(tmp_path, "a", "b") as (one, _):
        assert await one.ask(ASKED) == ([b"b: hi"], 0)
        assert not dead.exists()
    alone = Siblings(tmp_path, 3, "c")
    async with alone.answering({}):
        assert await alone.ask(ASKED) == ([], 2)


async def test_one_that_hangs_is_silent_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(siblings, "_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "hangs.sock"))
        plug.listen()
        async with workers(tmp_path, "a", "b") as (one, _), asyncio.timeout(10):
            said, _ = await one.ask(ASKED)
    assert said == [b"b: hi"]


async def test_one_that_fails_is_silent_and_its_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Question) -> bytes:
        raise RuntimeError("why it failed")

    one, other = Siblings(tmp_path, 2, "a"), Siblings(tmp_path, 2, "b")
    with caplog.at_level(logging.ERROR, "gateway.web"):
        async with one.answering({}), other.answering({"say": fail}):
            assert await one.ask(ASKED) == ([], 1)
    assert "why it failed" in caplog.text


async def test_a_long_answer_comes_whole(tmp_path: Path) -> None:
    async def long(_: Question) -> bytes:
        return b"x" * 3_000_000

    one, other = Siblings(tmp_path, 2, "a"), Siblings(tmp_path, 2, "b")
    async with one.answering({}), other.answering({"say": long}):
        (said,), _ = await one.ask(ASKED)
    assert len(said) == 3_000_000


async def test_a_folder_that_is_too_deep_for_a_socket_is_told_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    one = Siblings(deep, 2, "a")
    async with one.answering({}):
        assert await one.ask(ASKED) == ([], 1)
    assert "other workers cannot ask this one" in caplog.text
