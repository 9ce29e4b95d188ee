"""The other worker processes of this gateway, which any of them can ask: Siblings.

Each listens on a socket of its own in a folder that only this user may enter. Nothing is sent
unless somebody asks, and a worker that is gone leaves nothing that could be read for an answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson

_log = logging.getLogger("gateway.web")

Question = Mapping[str, object]
Answer = Callable[[Question], Awaitable[bytes]]

# One that is busier than that is told of as silent: whoever watches must not wait for it.
_SECONDS = 1.0
_QUESTION_BYTES = 64 * 1024
# Without it an answer has been cut.
_END = b"\n"


class Siblings:
    """`folder` is where the sockets are, None where this process is the only one of `count`; by
    `name` it is known there, by default its process id."""

    def __init__(self, folder: Path | None, count: int = 1, name: str = "") -> None:
        self._own = folder / f"{name or os.getpid()}.sock" if folder is not None else None
        self._count = count

    @asynccontextmanager
    async def answering(self, answers: Mapping[str, Answer]) -> AsyncIterator[None]:
        """Inside it the others are answered: a question's `ask` says by which of `answers`."""
        if self._own is None:
            yield
            return

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with asyncio.timeout(_SECONDS):
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
            server = await asyncio.start_unix_server(answer, self._own, limit=_QUESTION_BYTES)
        except OSError as error:
            _log.warning("other workers cannot ask this one: %s", error)
            yield
            return
        try:
            yield
        finally:
            server.close()
            self._own.unlink(missing_ok=True)

    async def ask(self, question: Question) -> tuple[list[bytes], int]:
        """What each of the others says, and how many have not, within a second."""
        if self._own is None:
            return [], 0
        others = [one for one in self._own.parent.glob("*.sock") if one != self._own]
        told = await asyncio.gather(*(_asked(one, orjson.dumps(question)) for one in others))
        found = [one for one in told if one is not None]
        return found, max(0, self._count - 1 - len(found))


async def _asked(socket: Path, question: bytes) -> bytes | None:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_unix_connection(socket)
            writer.write(question + _END)
            told = await reader.read()
            return told.removesuffix(_END) if told.endswith(_END) else None
    except ConnectionRefusedError:
        with suppress(OSError):  # it was killed: nobody will ever listen there again
            os.unlink(socket)
    except (OSError, TimeoutError):
        pass
    finally:
        if writer is not None:
            writer.close()
    return None
