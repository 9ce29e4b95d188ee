"""Stand-ins that do what a test scripts: FakeWire, FakeRouter, FakeTokens, FakeTelemetry …"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.domain.call import Attempt, Call, Outcome, Usage
from gateway.domain.endpoints import CHAT, Endpoint
from gateway.domain.errors import ModelNotFound
from gateway.domain.metrics import Metric
from gateway.domain.ports import Counted, Fallback, Replica, WireError
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard
from gateway.domain.structure import NO_STRUCTURE, Structure


def a_replica(name: str = "r0", model: str = "m") -> Replica:
    """A replica at a port that nobody listens on; only a FakeWire can reach it."""
    return Replica(name, model, f"served-{model}", f"http://{name}.test/v1", api_key="upstream-key")


def a_call(
    *, stream: bool = False, model: str = "m", endpoint: Endpoint = CHAT, seconds: float = 60.0
) -> Call:
    """A chat call that came in at second 0 of a FakeClock."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return Call("req-1", endpoint, model, body, received=0.0, deadline=seconds, stream=stream)


class FakeClock:
    """Monotonic seconds that move only when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class FakeAnswer:
    """One upstream answer. A step is bytes, an exception to raise, or a callable to await on."""

    status: int = 200
    steps: tuple[bytes | BaseException | Callable[[], object], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    released: bool = False
    closed: bool = False

    async def read(self, limit: int) -> bytes:
        """All steps joined; WireError when they pass `limit` bytes."""
        body = b"".join([chunk async for chunk in self.chunks()])
        if len(body) > limit:
            raise WireError(Fault.GARBAGE, f"answer is longer than {limit} bytes")
        return body

    async def chunks(self) -> AsyncIterator[bytes]:
        """The steps, one by one."""
        for step in self.steps:
            await asyncio.sleep(0)
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, bytes):
                yield step
            elif asyncio.iscoroutine(waiting := step()):
                await waiting

    def release(self) -> None:
        self.released = True

    def close(self) -> None:
        self.closed = True


def plain(text: str = "hello", *, model: str = "served-m", usage: bool = True) -> FakeAnswer:
    """A whole chat completion."""
    body: dict[str, object] = {
        "model": model,
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return FakeAnswer(steps=(orjson.dumps(body),))


def chunk(text: str | None = None, *, finish: str | None = None, model: str = "served-m") -> bytes:
    """One event of a chat stream."""
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"model": model, "choices": [choice]}) + b"\n\n"


def usage_chunk(prompt: int = 5, completion: int = 2) -> bytes:
    """The event that vLLM sends last when it was asked for usage."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return b"data: " + orjson.dumps({"model": "served-m", "choices": [], "usage": usage}) + b"\n\n"


def streamed(*texts: str, finish: str | None = "stop", done: bool = True) -> FakeAnswer:
    """A chat stream of these pieces of text."""
    steps = [chunk(text) for text in texts]
    if finish:
        steps += [chunk(finish=finish), usage_chunk()]
    return FakeAnswer(steps=(*steps, *([b"data: [DONE]\n\n"] if done else [])))


def failing(status: int, body: bytes = b"{}", **headers: str) -> FakeAnswer:
    """An error answer; `retry_after` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FakeAnswer(status=status, steps=(body,), headers=named)


@dataclass(slots=True)
class Sent:
    """A request that went over the FakeWire."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: dict[str, object]


class FakeWire:
    """Gives the scripted answers in order, whoever asks; an exception is raised instead."""

    def __init__(self, answers: Iterable[FakeAnswer | BaseException] = ()) -> None:
        self.answers = list(answers)
        self.sent: list[Sent] = []
        self.given: list[FakeAnswer] = []

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> FakeAnswer:
        self.sent.append(Sent(method, url, headers, orjson.loads(body) if body else {}))
        await asyncio.sleep(0)
        if not self.answers:
            raise WireError(Fault.CONNECT, "the script of this FakeWire has run out")
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        self.given.append(answer)
        return answer


class FakeSyntax:
    """Knows the structures that it is given, by text; of others it knows nothing."""

    def __init__(self, structures: Mapping[str, Structure] | None = None) -> None:
        self.structures = dict(structures or {})
        self.asked: list[tuple[str, str]] = []

    def structure(self, language: str, text: str) -> Structure:
        """That of the script."""
        self.asked.append((language, text))
        return self.structures.get(text, NO_STRUCTURE)


class FakeRouter:
    """Replicas in order, all in rotation but for those in `cooling` and `drained`; remembers every
    report, and who watches whom."""

    def __init__(
        self, *replicas: Replica, fallbacks: Mapping[str, tuple[str | Fallback, ...]] = {}
    ) -> None:
        self.all = replicas or (a_replica(),)
        self.cooling: set[str] = set()
        self.drained: set[str] = set()
        self.doubted: set[str] = set()
        self.watchers: dict[str, list[Callable[[], None]]] = {}
        self.load: dict[str, int] = {}
        self.faults: list[tuple[str, Fault | None]] = []
        self.successes: list[tuple[str, Usage | None]] = []
        self._fallbacks = fallbacks

    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(replica.model for replica in self.all))

    def replicas(self, model: str) -> tuple[Replica, ...]:
        return tuple(replica for replica in self.all if replica.model == model)

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        if not self.replicas(model):
            raise ModelNotFound(param="model")
        out = self.cooling | self.drained
        return tuple(r for r in self.replicas(model) if r.id not in out)

    async def pick(self, call: Call, model: str, tried: Collection[str]) -> Replica | None:
        return next((r for r in await self.healthy(model) if r.id not in tried), None)

    def regard(self, replica: Replica) -> Regard:
        if replica.id in self.drained:
            return Regard.OUT
        if replica not in self.all:
            return Regard.GONE
        return Regard.DOUBTED if replica.id in self.doubted else Regard.TRUSTED

    def watch(self, replica: Replica, down: Callable[[], None]) -> Callable[[], None]:
        watchers = self.watchers.setdefault(replica.id, [])
        watchers.append(down)
        return lambda: watchers.remove(down)

    def started(self, call: Call, replica: Replica) -> None:
        self.load[replica.id] = self.load.get(replica.id, 0) + 1

    def ended(
        self, call: Call, replica: Replica, fault: Fault | None, *, retry_after: float | None = None
    ) -> None:
        assert self.load.get(replica.id), f"{replica.id} has ended more often than it began"
        self.load[replica.id] -= 1
        self.faults.append((replica.id, fault))

    async def succeeded(
        self, call: Call, replica: Replica, usage: Usage | None, seconds: float
    ) -> None:
        self.successes.append((replica.id, usage))

    def fallbacks(self, model: str, fault: Fault) -> tuple[Fallback, ...]:
        named = self._fallbacks.get(model, ()) if fault.elsewhere else ()
        return tuple(one if isinstance(one, Fallback) else Fallback(one) for one in named)


class FakeTokens:
    """A token for each four characters, and four around each message; `dearer` times as many where
    messages are counted. Remembers what it was asked to count."""

    def __init__(self, window: int = 4096, *, exact: bool = True, dearer: float = 1.0) -> None:
        self.texts: list[Sequence[str]] = []
        self.messages: list[Sequence[Mapping[str, str]]] = []
        self.left_open: list[bool] = []
        self._window, self._exact, self._dearer = window, exact, dearer

    async def window(self, model: str) -> int:
        return self._window

    async def ceiling(self, model: str) -> int | None:
        return self._window

    async def count_texts(self, model: str, texts: Sequence[str]) -> list[Counted]:
        self.texts.append(texts)
        return [Counted(_quarter(text), self._exact) for text in texts]

    async def count_messages(
        self, model: str, messages: Sequence[Mapping[str, str]], *, continue_final: bool = False
    ) -> Counted:
        self.messages.append(messages)
        self.left_open.append(continue_final)
        tokens = sum(4 + _quarter(message["content"]) for message in messages)
        return Counted(math.ceil(self._dearer * tokens), self._exact)


def _quarter(text: str) -> int:
    return math.ceil(len(text) / 4)


@dataclass(slots=True)
class FakeProbe:
    """Remembers how its attempt ended."""

    traceparent: str | None = None
    ended: list[Attempt] = field(default_factory=list)

    def end(self, attempt: Attempt) -> None:
        self.ended.append(attempt)


class FakeTelemetry:
    """Remembers everything that it is told."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.probes: list[FakeProbe] = []
        self.verdicts: list[tuple[str, str]] = []
        self.outcomes: list[Outcome] = []
        self.counts: list[tuple[str, ...]] = []

    def started(self, call: Call) -> None:
        self.calls.append(call)

    def verdict(self, call: Call, policy: str, decision: str, seconds: float) -> None:
        self.verdicts.append((policy, decision))

    def attempt(self, call: Call, replica: Replica, number: int) -> FakeProbe:
        self.probes.append(FakeProbe(call.traceparent))
        return self.probes[-1]

    def count(self, metric: Metric, *labels: str) -> None:
        self.counts.append((metric.name, *labels))

    def settled(self, call: Call, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
