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

from gateway.web.siblings import Question, Siblings


@asynccontextmanager
async def workers(folder: Path, *names: str, seconds: float = 20) -> AsyncIterator[list[Siblings]]:
    """So many, each of which says its name and what it was asked."""
    every = [Siblings(folder, len(names), seconds) for _ in names]
    async with AsyncExitStack() as stack:
        for name, one in zip(names, every, strict=True):

            async def say(question: Question, name: str = name) -> bytes:
                return f"{name}: {question['word']}".encode()

            await stack.enter_async_context(one.answering({"say": say}))
        yield every


ASKED = {"ask": "say", "word": "hi"}


async def test_each_of_the_others_is_asked_and_nobody_asks_itself(tmp_path: Path) -> None:
    async with workers(tmp_path, "a", "b", "c") as (one, _, last):
        assert await one.ask(ASKED) == {"1": b"b: hi", "2": b"c: hi"}
        assert await last.ask(ASKED) == {"0": b"a: hi", "1": b"b: hi"}
    assert sorted(os.listdir(tmp_path)) == ["0.lock", "1.lock", "2.lock"]


async def test_the_only_process_has_nobody_to_ask_and_listens_nowhere() -> None:
    alone = Siblings(None)
    async with alone.answering({}):
        assert await alone.ask(ASKED) == {}


async def test_nothing_to_say_is_an_answer_too(tmp_path: Path) -> None:
    async def nothing(_: Question) -> bytes:
        return b""

    one, other = Siblings(tmp_path, 2), Siblings(tmp_path, 2)
    async with one.answering({}), other.answering({"say": nothing}):
        assert await one.ask(ASKED) == {"1": b""}


async def test_one_that_was_killed_is_silent_until_its_place_is_taken(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "1.sock"))
    async with workers(tmp_path, "a") as (one,):
        one._count = 2
        assert await one.ask(ASKED) == {"1": None}
        async with workers(tmp_path, "b"):
            assert await one.ask(ASKED) == {"1": b"b: hi"}


async def test_a_socket_that_nobody_is_expected_at_counts_only_while_it_answers(
    tmp_path: Path,
) -> None:
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "7.sock"))
    async with workers(tmp_path, "a", "b") as (one, _), workers(tmp_path, "c"):
        assert await one.ask(ASKED) == {"1": b"b: hi", "2": b"c: hi"}


async def test_who_takes_a_place_knows_how_many_held_it_before(tmp_path: Path) -> None:
    starts = []
    for _ in range(12):
        one = Siblings(tmp_path, 2)
        async with one.answering({}):
            starts.append((one.place, one.starts))
    assert starts == [("0", number) for number in range(12)]


async def test_one_that_hangs_is_silent_after_a_while(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(tmp_path / "1.sock"))
        plug.listen()
        one = Siblings(tmp_path, 2, seconds=0.1)
        async with one.answering({}), asyncio.timeout(10):
            assert await one.ask(ASKED) == {"1": None}


async def test_one_that_fails_is_silent_and_its_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Question) -> bytes:
        raise RuntimeError("why it failed")

    one, other = Siblings(tmp_path, 2), Siblings(tmp_path, 2)
    with caplog.at_level(logging.ERROR, "gateway.web"):
        async with one.answering({}), other.answering({"say": fail}):
            assert await one.ask(ASKED) == {"1": None}
    assert "why it failed" in caplog.text


async def test_a_long_answer_comes_whole(tmp_path: Path) -> None:
    async def long(_: Question) -> bytes:
        return b"x" * 3_000_000

    one, other = Siblings(tmp_path, 2), Siblings(tmp_path, 2)
    async with one.answering({}), other.answering({"say": long}):
        told = await one.ask(ASKED)
    assert told == {"1": b"x" * 3_000_000}


async def test_a_folder_that_is_too_deep_for_a_socket_is_told_and_costs_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deep = tmp_path / ("x" * 120)
    deep.mkdir()
    one = Siblings(deep, 2)
    async with one.answering({}):
        assert await one.ask(ASKED) == {"1": None}
    assert "other workers cannot ask this one" in caplog.text
