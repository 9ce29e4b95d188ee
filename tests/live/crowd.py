"""A crowd of clients that stream at once, each with a question whose answer is known beforehand."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httptools

MODEL = "m"
# With every kind of white space and of character that a seam could lose or repeat.
_WORDS = (
    "the",
    " café",
    "\n\nis",
    "  open",
    " 日本",
    "語",
    " 🙂",
    ",",
    " x1",
    "\n- item",
    "\n\n\n\tend",
)
_SHORTEST, _LONGEST = 14, 24
# What a client bears: far more than the gateway may take for a stream of so few tokens.
PATIENCE_S = 60.0


def question(number: int) -> str:
    """What client `number` asks; a replica that echoes answers with it, a word or sign a token."""
    chance = random.Random(number)
    words = chance.choices(_WORDS, k=chance.randint(_SHORTEST, _LONGEST))
    return f"question {number}" + "".join(words)


@dataclass(slots=False)
class Answer:
    """What one client saw. Times are monotonic seconds; `arrivals` has one for each piece of the
    body as it came; `left` is set where the client went away itself, `whole` where HTTP ended."""

    number: int
    began: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    arrivals: list[float] = field(default_factory=list)
    ended: float = 0.0
    left: bool = False
    whole: bool = False

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """The JSON of each event that has any."""
        payloads = [
            line.removeprefix("data: ")
            for line in self.body.decode("utf-8", "replace").split("\n")
            if line.startswith("data: ") and line != "data: [DONE]"
        ]
        return [json.loads(payload) for payload in payloads]

    @property
    def error(self) -> str:
        """The code of the typed error that it ended with; "" for none."""
        for event in self.events if self.status == 200 else [self._plain()]:
            if error := event.get("error"):
                return str(error.get("code") or error)
        return ""

    def _plain(self) -> dict[str, Any]:
        try:
            told = json.loads(self.body)
        except ValueError:
            return {}
        return told if isinstance(told, dict) else {}

    @property
    def wrong(self) -> str:
        """Why it is not an answer that nothing has happened to; "" when it is one."""
        if not self.whole or self.status != 200:
            return f"status {self.status}, {'whole' if self.whole else 'cut'}, {self.error}"
        if self.error:
            return f"error {self.error}"
        choices = [choice for event in self.events for choice in event["choices"]]
        said = "".join(choice["delta"].get("content") or "" for choice in choices)
        finishes = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
        names = {(event["id"], event["model"], event["created"]) for event in self.events}
        usages = [event["usage"] for event in self.events if event.get("usage")]
        expected = question(self.number)
        found = {
            "text": said == expected or f"{said!r} is not {expected!r}",
            "finish": finishes == ["stop"] or finishes,
            "identity": len(names) == 1 or names,
            "role": sum("role" in choice["delta"] for choice in choices) == 1,
            "usage": [one["completion_tokens"] for one in usages] == [len(choices) - 2] or usages,
            "done": self.body.count(b"data: [DONE]\n\n") == 1 and self.body.endswith(b"[DONE]\n\n"),
        }
        return "; ".join(f"{name}: {value}" for name, value in found.items() if value is not True)

    @property
    def first(self) -> float:
        """Seconds to the first piece."""
        return self.arrivals[0] - self.began

    @property
    def gaps(self) -> list[float]:
        """Seconds between one piece and the next."""
        return [b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)]


class _Reader(asyncio.Protocol):
    """Sends one request and notes what comes, as cheaply as Python can: the crowd shares its
    processors with what it looks at."""

    def __init__(self, answer: Answer, request: bytes) -> None:
        self._answer = answer
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._request)

    def data_received(self, received: bytes) -> None:
        self._parser.feed_data(received)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode().lower()] = value.decode()

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        self._answer.body += part
        self._answer.arrivals.append(time.monotonic())

    def on_message_complete(self) -> None:
        self._answer.whole = True
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.over.done():
            self._answer.ended = time.monotonic()
            self.over.set_result(None)


def _request(number: int, model: str) -> bytes:
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": question(number)}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": 200,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway.test\r\n"
        f"x-request-id: q-{number}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(
    url: str, number: int, leave_after: float | None = None, model: str = MODEL
) -> Answer:
    """One stream, to its end; or torn away after so many seconds."""
    where = urlsplit(url)
    answer = Answer(number, time.monotonic())
    loop = asyncio.get_running_loop()
    _, reader = await loop.create_connection(
        lambda: _Reader(answer, _request(number, model)), where.hostname, where.port
    )
    try:
        async with asyncio.timeout(PATIENCE_S if leave_after is None else leave_after):
            await asyncio.shield(reader.over)
    except TimeoutError:
        answer.left = leave_after is not None
    finally:
        reader.transport.abort() if answer.left else reader.transport.close()
    return answer


class Crowd:
    """`clients` that ask one question after the other, each with a stream open all of the time; a
    `leaving` share of the streams is torn away before the middle."""

    def __init__(
        self, url: str, clients: int, leaving: float, pace: float, model: str = MODEL
    ) -> None:
        self._url = url
        self._model = model
        self._clients = clients
        self._leaving = leaving
        # The shortest answer's first half takes so long, at `pace` seconds a token.
        self._half = pace * _SHORTEST / 2
        self._ramp = min(pace * _LONGEST, 6.0)
        self._asked = 0

    async def stream(self, seconds: float) -> list[Answer]:
        """All answers begun within so many seconds, in no order. The clients come one after the
        other over the time of a long answer: as if they had always been there."""
        ends, answers = time.monotonic() + seconds, list[Answer]()
        async with asyncio.TaskGroup() as tasks:
            for client in range(self._clients):
                after = self._ramp * client / self._clients
                tasks.create_task(self._client(after, ends, answers))
        return answers

    async def _client(self, after: float, ends: float, answers: list[Answer]) -> None:
        await asyncio.sleep(after)
        while time.monotonic() < ends:
            number = self._asked = self._asked + 1
            chance = random.Random(-number)
            leaves = chance.random() < self._leaving
            after = chance.random() * self._half if leaves else None
            answers.append(await ask(self._url, number, after, self._model))
