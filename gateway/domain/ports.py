"""What the rooms ask of the outside world: one protocol for each thing an adapter stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.domain.call import Attempt, Call, Outcome, Reply, Usage
from gateway.domain.endpoints import Endpoint
from gateway.domain.metrics import Metric
from gateway.domain.prompt import Prompt, Rendered, Wanted
from gateway.domain.retry import Fault
from gateway.domain.standing import Regard
from gateway.domain.structure import Structure


@dataclass(frozen=True, slots=True)
class Replica:
    """One deployment of a model behind an OpenAI-compatible base URL (…/v1).

    `params` are body fields that the operator fixed for it (temperature, extra_body …).
    Timeouts in seconds, None where the gateway's own hold. With a `provider` (anthropic …) it
    speaks another API: it has no base URL, `options` are what LiteLLM needs to ask it, with its
    keys, and `window` is its context window in tokens, None where nobody knows. `counts`: it is
    asked to tell its usage in every chunk of a stream, as a vLLM can.
    """

    id: str
    model: str
    upstream_model: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float | None = None
    stream_timeout: float | None = None
    max_parallel: int | None = None
    provider: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    window: int | None = None
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Fallback:
    """A model to try instead, and body fields that hold for it over the client's own."""

    model: str
    params: Mapping[str, Any] = field(default_factory=dict)


class WireError(Exception):
    """The connection failed. `fault` says how; the text is for the log only."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


class WireResponse(Protocol):
    """An upstream answer whose headers are here. Either `release` or `close` ends it."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self, limit: int) -> bytes:
        """The whole body. WireError when it is cut or passes `limit` bytes."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they come. WireError when the connection breaks."""

    def release(self) -> None:
        """Read to the end: the connection may serve another request."""

    def close(self) -> None:
        """Drop the connection now; a vLLM then stops generating."""


class Wire(Protocol):
    """Carries bytes to replicas over pooled connections."""

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> WireResponse:
        """Send and wait for the headers. WireError when that fails, OutOfDescriptors when it is
        this process that cannot. No deadline of its own but for connecting: callers set theirs
        around it."""


class Providers(Protocol):
    """Asks replicas that have a provider, in that one's own words."""

    async def ask(
        self, replica: Replica, endpoint: Endpoint, fields: Mapping[str, Any], *, stream: bool
    ) -> WireResponse:
        """As Wire.send: the answer in OpenAI's shape, on a stream with its usage at the end and
        `[DONE]` only after a finish_reason that the provider gave. 501 for an endpoint that it
        does not have."""


class Router(Protocol):
    """Chooses replicas, remembers which are failing, knows the fallbacks."""

    def models(self) -> tuple[str, ...]:
        """Names that a client may ask for, aliases included, in the order of the file."""

    def replicas(self, model: str) -> tuple[Replica, ...]:
        """All replicas of a model, healthy or not; empty when there is no such model."""

    async def healthy(self, model: str) -> tuple[Replica, ...]:
        """Those in rotation now. ModelNotFound when there is no such model."""

    async def pick(self, call: Call, model: str, tried: Collection[str]) -> Replica | None:
        """The replica for the next attempt, never one whose id is in `tried`; None when there is
        no other that may be asked. Its `started` must follow without waiting: until then its
        place is nobody's. ModelNotFound when there is no such model (any more)."""

    def regard(self, replica: Replica) -> Regard:
        """Whether this very replica may be asked now, and what speaks against it."""

    def watch(self, replica: Replica, down: Callable[[], None]) -> Callable[[], None]:
        """From now on `down` is called when probes find that the replica is down while others of
        its model are not; until the function that this returns is called."""

    def started(self, call: Call, replica: Replica) -> None:
        """An attempt begins: the replica's load grows by one."""

    def ended(
        self, call: Call, replica: Replica, fault: Fault | None, *, retry_after: float | None = None
    ) -> None:
        """An attempt is over, exactly once for each `started`: with the fault that the cooldown
        should hear of, or None (a client that left is no fault of the replica)."""

    async def succeeded(
        self, call: Call, replica: Replica, usage: Usage | None, seconds: float
    ) -> None:
        """An answer is complete: what latency and usage based strategies learn from."""

    def fallbacks(self, model: str, fault: Fault) -> tuple[Fallback, ...]:
        """Models to try next after this kind of fault, in order."""


class Prompts(Protocol):
    """The prompt files of this gateway. A name stands for what is in production, in the default
    language and no variant; a `ref.key` of a prompt that `choose` gave stands for that one."""

    def get(self, name: str) -> Prompt:
        """UnknownPrompt (422) when there is none of that name."""

    def choose(self, name: str, wanted: Wanted) -> Prompt:
        """UnknownPrompt (422) when there is none of that name, version or variant."""
        ...

    def render(self, name: str, inputs: Mapping[str, Any]) -> Rendered:
        """Bounded in output and time. PromptInputError (422) when inputs do not fit."""

    def restore(self, text: str) -> str:
        """Undo, in a model's answer, what `render` did to control tokens in data."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Tokens of a text or of messages, and the replica's window. `exact` is False for an
    estimate, made only when no replica and no tokenizer file could be asked."""

    tokens: int
    exact: bool


class Tokens(Protocol):
    """Counts tokens as the replica does."""

    async def window(self, model: str) -> int:
        """The context window of a model's replicas, in tokens: the smallest of them."""

    async def ceiling(self, model: str) -> int | None:
        """The largest window of them; None where any of them does not tell its own."""

    async def count_texts(self, model: str, texts: Sequence[str]) -> list[Counted]:
        """Tokens of each text, without special tokens."""

    async def count_messages(
        self, model: str, messages: Sequence[Mapping[str, str]], *, continue_final: bool = False
    ) -> Counted:
        """Tokens of the prompt that these messages become under the chat template."""


class Names(Protocol):
    """Looks up what host names stand for."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Its IP addresses, within some seconds; none when there are none."""


class Syntax(Protocol):
    """Reads the structure of source code."""

    def structure(self, language: str, text: str) -> Structure:
        """The structure of `text`; its `remark` says what kept a parser from making it. Bounded in
        time, safe in any thread, and never raises."""


class Probe(Protocol):
    """Watches one attempt. One that is never ended is ended when its call is settled."""

    @property
    def traceparent(self) -> str | None:
        """The W3C header that the replica should continue; None when there is nothing to."""

    def end(self, attempt: Attempt) -> None:
        """The result is known. On "ok" the span stays open until the answer has been read."""


class Telemetry(Protocol):
    """Traces, metrics and the log line of each call. Nothing here waits, and nothing raises."""

    def started(self, call: Call) -> None:
        """A call comes in."""

    def verdict(self, call: Call, policy: str, decision: str, seconds: float) -> None:
        """A policy has decided, after `seconds`."""

    def attempt(self, call: Call, replica: Replica, number: int) -> Probe:
        """An attempt begins; `number` counts from 1."""

    def count(self, metric: Metric, *labels: str) -> None:
        """One more of what a counter counts."""

    def settled(self, call: Call, outcome: Outcome) -> None:
        """The end of a call: counters, durations, tokens, the log line, every span. Once; a call
        that was never `started` is ignored."""


Prepare = Callable[[Call], Awaitable[None]]


class Answers(Protocol):
    """The pipeline as those above it see it."""

    def answer(
        self, call: Call, prepare: Prepare | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """Walk `call` to a replica; `prepare` fills its body once the caller is known. Leaving
        the block settles the call, once, whatever happened. Where `prepare` makes the call a
        `rehearsal`, key and policies hold as ever, and the reply is an empty one that no replica
        gave."""
