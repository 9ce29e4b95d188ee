"""The other worker processes of this gateway, which any of them can ask: Siblings.

Each holds a place in a folder that only this user may enter, by a lock that ends with it, and
listens on a socket there. Nothing is sent unless somebody asks, and a worker that is gone leaves
nothing that could be read for an answer.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import orjson

_log = logging.getLogger("gateway.web")

Question = Mapping[str, object]
Answer = Callable[[Question], Awaitable[bytes]]

# One that is busier than that is told of as silent: whoever watches must not wait for it.
_SECONDS = 1.0
_QUESTION_BYTES = 64 * 1024
# Without it an answer has been cut.
_END = b"\n"
_PLACES = 256


class Siblings:
    """`folder` is where they meet, None where this process is the only one of `count`. Each is
    known by its `place`, "0" to "255", which whoever is started for one that died takes over:
    `starts` others held it before. It waits `seconds` for an answer."""

    def __init__(self, folder: Path | None, count: int = 1, seconds: float = _SECONDS) -> None:
        self._folder = folder
        self._count = count
        self._seconds = seconds
        self.place = "0"
        self.starts = 0

    @property
    def alone(self) -> bool:
        """Whether there is nobody to ask."""
        return self._folder is None

    @asynccontextmanager
    async def answering(self, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
        """Inside it the place is held and the others are answered: a question's `ask` says by
        which of `answers`."""
        if self._folder is None:
            yield
            return
        place, lock = _take_place(self._folder)
        with lock:
            self.place = str(place)
            self.starts = int(lock.read() or 0)
            lock.seek(0)
            lock.write(str(self.starts + 1))
            lock.flush()
            socket = self._folder / f"{self.place}.sock"
            _remove(socket)  # of one that was killed
            async with self._listening(socket, answers):
                yield

    @asynccontextmanager
    async def _listening(self, socket: Path, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(self._seconds):
                    question = orjson.loads(await reader.readline())
                    writer.write(await answers[question["ask"]](question) + _END)
                    await writer.drain()
            except (OSError, TimeoutError):
                pass  # whoever asked has given up
            except Exception:
                # A marked edge: the asker counts us as silent, and the log says why.
                _log.exception("a question of another worker could not be answered")
            finally:
                writer.close()

        try:
            server = await asyncio.start_unix_server(answer, socket, limit=_QUESTION_BYTES)
        except OSError as error:
            _log.warning("other workers cannot ask this one: %s", error)
            yield
            return
        try:
            yield
        finally:
            server.close()
            _remove(socket)

    async def ask(self, question: Question) -> dict[str, bytes | None]:
        """What each of the others says, by place; None of one that has said nothing in time."""
        if self._folder is None:
            return {}
        there = {one.stem for one in self._folder.glob("*.sock")}
        expected = {str(number) for number in range(self._count)}
        places = sorted((there | expected) - {self.place})
        text = orjson.dumps(question)
        told = await asyncio.gather(*(self._asked(self._folder, one, text) for one in places))
        # A socket beyond them may be of one that was killed, whose place nobody takes again.
        by_place = zip(places, told, strict=True)
        return {place: one for place, one in by_place if one is not None or place in expected}

    async def _asked(self, folder: Path, place: str, question: bytes) -> bytes | None:
        socket, writer = folder / f"{place}.sock", None
        try:
            async with asyncio.timeout(self._seconds):
                reader, writer = await asyncio.open_unix_connection(socket)
                writer.write(question + _END)
                told = await reader.read()
                return told.removesuffix(_END) if told.endswith(_END) else None
        except (OSError, TimeoutError):
            pass
        finally:
            if writer is not None:
                writer.close()
        return None


def heard(told: Mapping[str, bytes | None]) -> tuple[list[bytes], int]:
    """What was said, and how many have said nothing."""
    said = [one for one in told.values() if one is not None]
    return said, len(told) - len(said)


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def _take_place(folder: Path) -> tuple[int, IO[str]]:
    """The first place that nobody holds, and its file, which holds it until it is closed."""
    for place in range(_PLACES):
        lock = os.fdopen(os.open(folder / f"{place}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return place, lock
    raise RuntimeError(f"{folder}: all {_PLACES} places of workers are taken")
