"""One client request and what became of it: Call, Caller, Usage, Attempt, Outcome, Reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.domain.away import Away
from gateway.domain.endpoints import Endpoint
from gateway.domain.errors import GatewayError
from gateway.domain.holds import Holds
from gateway.domain.limits import Priority
from gateway.domain.pace import Pace
from gateway.domain.record import Record
from gateway.domain.scope import USUAL
from gateway.domain.step import Step


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the team that the key belongs to, and the key's public name; `user` is the person,
    where a token names one. `models` and `routes` are globs of what the key is good for, as in
    When: an empty tuple means all."""

    team: str = "anonymous"
    key_id: str = "none"
    user: str = ""
    roles: frozenset[str] = USUAL
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptRef:
    """Which prompt file, at which version, made the messages of a call. `sha` is of all its texts:
    the file, its languages and variants, its partials. `variant` and `locale` are "" for none."""

    name: str
    version: str
    sha: str
    variant: str = ""
    locale: str = ""

    def __str__(self) -> str:
        variant = f"~{self.variant}" if self.variant else ""
        locale = f".{self.locale}" if self.locale else ""
        return f"{self.text}{variant}{locale}"

    @property
    def text(self) -> str:
        """The prompt at its version, whichever of its variants and languages."""
        return f"{self.name}@{self.version}+{self.sha}"

    @property
    def key(self) -> str:
        """Its name among all versions, languages and variants."""
        return f"{self.text}~{self.variant}.{self.locale}"

    @property
    def shown(self) -> dict[str, str]:
        """As answers show it; only what there is."""
        every = {"name": self.name, "version": self.version, "sha": self.sha}
        every |= {"variant": self.variant, "locale": self.locale}
        return {word: text for word, text in every.items() if text}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the replica counted them; `cached` is the part of `prompt` from its cache.
    `estimated`: the replica had not told, or not yet when it was cut, so it is our own guess.
    `reasoning` is the part of `completion` that were thoughts."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    estimated: bool = False
    reasoning: int = 0

    @classmethod
    def read(cls, usage: object) -> Usage | None:
        """From an OpenAI `usage` object; None where it is not one (never a guess)."""
        if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
            return None
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else 0
        completion = usage.get("completion_tokens")
        details = usage.get("completion_tokens_details")
        thoughts = details.get("reasoning_tokens") if isinstance(details, dict) else 0
        return cls(
            prompt=usage["prompt_tokens"],
            completion=completion if isinstance(completion, int) else 0,
            cached=cached if isinstance(cached, int) else 0,
            reasoning=thoughts if isinstance(thoughts, int) else 0,
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try on one replica. `result` is "ok" or a fault's name; `seconds` until it was known;
    `status` is what it answered by HTTP, 0 for nothing."""

    replica: str
    result: str
    seconds: float
    status: int = 0


class OutcomeKind(StrEnum):
    """How a call ended. `FAILED` is what it is called until something better is known."""

    COMPLETED = "completed"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a call, settled once. Times in seconds; `usage` is None when no replica answered.
    `model` is the configured one that answered, which may be a fallback; `served_model` is what
    the replica calls it; `answer_id` is the answer's own; `own_seconds` is our own part of the
    time to the first of an answer."""

    kind: OutcomeKind = OutcomeKind.FAILED
    status: int = 500
    code: str = ""
    detail: str = ""
    usage: Usage | None = None
    replica: str = ""
    model: str = ""
    served_model: str = ""
    answer_id: str = ""
    finish_reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0
    first_token_seconds: float | None = None
    queue_seconds: float = 0.0
    own_seconds: float | None = None
    pace: Pace | None = field(default=None, compare=False)

    @property
    def counted(self) -> Usage | None:
        """The tokens as a replica told them; None where that is our own guess."""
        return None if self.usage is None or self.usage.estimated else self.usage


def _by_client() -> GatewayError | None:
    return None


def _untold() -> Usage | None:
    return None


@dataclass(slots=True, eq=False)
class Call:
    """One client request on its way: itself and no other, whatever its id. `body` is the JSON
    object; a policy may edit it.

    `received` and `deadline` are monotonic seconds; `credential` never leaves the gateway.
    `tags` are LiteLLM's request tags, from a header; `affinity` names what calls of one prompt
    file have in common, where the beginning of their messages does not say it. `shadow`: no client
    reads its answer. `cut` is asked when the call is cancelled: the error to end it with, None when
    its client has left. A `rehearsal` ends before it takes a slot: no replica hears of it.

    `alias` is a name of a model, and what it stands for, once that was looked up.

    `address` is the client's: the connection's, or what a proxy of server.trusted_proxies says.

    `reply_headers` go out with the answer, an error's too: lower-case names, values without line
    breaks. `holds` is all that the call holds; the pipeline releases it, once. `cost` in
    micro-units, once it is in the ledger; None where no replica was asked. `steps` are what it went
    through before that.
    """

    id: str
    endpoint: Endpoint
    model: str
    body: dict[str, Any]
    received: float
    deadline: float
    stream: bool = False
    route: str = ""
    credential: str | None = field(default=None, repr=False)
    caller: Caller = Caller()
    prompt: PromptRef | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    queue_seconds: float = 0.0
    record: Record | None = field(default=None, repr=False)
    tags: tuple[str, ...] = ()
    affinity: str = ""
    priority: Priority = Priority.NORMAL
    cut: Callable[[], GatewayError | None] = field(default=_by_client, repr=False)
    shadow: bool = False
    rehearsal: bool = False
    address: str = ""
    alias: tuple[str, str] = ("", "")
    reply_headers: dict[str, str] = field(default_factory=dict, repr=False)
    holds: Holds = field(default_factory=Holds, repr=False)
    away: Away = field(default_factory=Away, repr=False)
    cost: int | None = None
    steps: tuple[Step, ...] = ()

    @property
    def group(self) -> str:
        """The model that `model` stands for: itself, unless that is an alias."""
        name, stands_for = self.alias
        return stands_for if name == self.model else self.model

    @property
    def path(self) -> str:
        """What a client asked for; a shadow's `route` says that none did."""
        return self.route.partition("#")[0] if self.shadow else self.route

    def stepped(self, step: Step) -> None:
        """It has gone through that."""
        self.steps += (step,)

    def note(self, kind: str, **facts: Any) -> None:
        """Write a decision into the call's record, where one is kept."""
        if self.record is not None:
            self.record.note(kind, **facts)

    def __post_init__(self) -> None:
        self.route = self.route or self.endpoint.path


@dataclass(slots=True)
class Reply:
    """An answer that has begun. `chunks` are bytes for the client: whole SSE events on a stream,
    the body in one piece otherwise. What is known only at the end fills in as they are read;
    `stop_reason` is vLLM's own: the stop string or token id that ended it. Until then `progress`
    tells what has been used so far, None where nobody knows.
    """

    chunks: AsyncIterator[bytes]
    stream: bool
    replica: str
    attempts: tuple[Attempt, ...] = ()
    content_type: str = "application/json"
    usage: Usage | None = None
    finish_reason: str = ""
    stop_reason: str | int | None = None
    model: str = ""
    served_model: str = ""
    answer_id: str = ""
    first_token_seconds: float | None = None
    own_seconds: float | None = None
    pace: Pace | None = None
    complete: bool = False
    progress: Callable[[], Usage | None] = field(default=_untold, repr=False)
