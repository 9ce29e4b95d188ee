"""What the mock vLLM is told to do and what it saw: Behaviour, Script, Received."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

BeforeHeaders = Literal["answer", "close", "reset", "hang", "garbage"]
Usage = Literal["asked", "missing", "twice", "always", "on_finish"]
AfterDone = Literal["end", "hang", "event"]
Then = Literal["keep", "close", "reset"]
Dialect = Literal["crlf", "cr", "comments", "fields", "multiline", "bom", "no_space"]
Outcome = Literal["running", "completed", "client_left"]

GENERATING = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings"})

_CHOICES: dict[str, tuple[str, ...]] = {
    "before_headers": get_args(BeforeHeaders),
    "usage": get_args(Usage),
    "after_done": get_args(AfterDone),
    "then": get_args(Then),
}
_PLAIN = (bool, int, float, str, int | None, str | None)


def _is_a(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _is_latin_1(text: str) -> bool:
    return all(character <= "\xff" for character in text)


def _require(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How one request is answered; the default is a healthy vLLM.

    Seconds are floats. An `*_after` field counts the `data:` events sent before the fault (0 is
    right after the headers; the role chunk and `[DONE]` count). A body that is not a stream goes
    out in two halves, and these are what is counted. A count past the end means after the end.
    """

    path: str | None = None
    """Only requests to this path; None: the paths in GENERATING."""

    # The head of the answer
    before_headers: BeforeHeaders = "answer"
    delay_headers: float = 0.0
    interim: int | None = None
    """A 1xx status to send first."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    """This text instead of an answer; "" is an empty body."""
    content_type: str = "application/json"
    """Of `body`, and of nothing else."""
    http10: bool = False
    """HTTP/1.0: no length, the end of the connection ends the body."""
    gzip: bool = False

    # What the model says
    text: str | None = None
    deltas: tuple[str, ...] | None = None
    """The answer, a delta an item; every delta counts as one token."""
    tokens: int | None = None
    """An answer of this many tokens."""
    echo: bool = False
    """Answer with the last user message."""
    reasoning: str | None = None
    reasoning_key: str = "reasoning"
    """vLLM's name for it; before 0.12 it was `reasoning_content`."""
    tool_calls: tuple[Mapping[str, str], ...] = ()
    """Items {"name": ..., "arguments": JSON text}; the text is then empty unless given."""
    finish_reason: str | None = "stop"
    """None: never sent. "stop" turns into "length" or "tool_calls" where vLLM's would."""
    usage: Usage = "asked"
    """"asked": as vLLM does, only for `stream_options`; "on_finish": inside the finish chunk."""
    cached_tokens: int | None = None
    """What `prompt_tokens_details` says; None leaves it null."""
    changing_ids: bool = False
    """Another id and model name in every chunk."""

    # Pace. An answer that is not a stream takes as long as the stream would
    delay_first: float = 0.0
    delay_between: float = 0.0

    # Faults in the body
    garbage_after: int | None = None
    garbage: str = "\xff\xfe\x00garbage\xc3\x28\r\n"
    """One character a byte, U+0000 to U+00FF."""
    garbage_framed: bool = True
    """False: outside the chunked framing, so that HTTP itself breaks."""
    malformed_after: int | None = None
    """Streams: an event whose JSON is cut."""
    error_after: int | None = None
    """Streams: vLLM's error event; then `[DONE]`, as vLLM does, and no more of the answer."""
    error: Mapping[str, object] | None = None
    """The error event's `error` object, in place of vLLM's 500."""
    stall_after: int | None = None
    """Send no more; the connection stays open until the client leaves."""
    close_after: int | None = None
    """FIN. Of a body that is not a stream: short of its content-length."""
    reset_after: int | None = None
    """RST."""
    split: int | None = None
    """Write this many bytes at a time, in chunks of this size."""
    sse: tuple[Dialect, ...] = ()
    done: bool = True
    after_done: AfterDone = "end"
    """"hang": the stream is never ended; "event": a content event follows `[DONE]`."""
    short_by: int = 0
    """A content-length that promises this many bytes too many, then FIN."""
    truncate_json: bool = False
    """Half of the JSON, with the right content-length."""
    then: Then = "keep"
    """What becomes of the connection afterwards, without a word in the headers."""

    def __post_init__(self) -> None:
        for one in fields(self):
            if one.type in _PLAIN and not _is_a(getattr(self, one.name), one.type):
                raise ValueError(f"{one.name} is {one.type}, not {getattr(self, one.name)!r}")
        for name, allowed in _CHOICES.items():
            _require(name, getattr(self, name), allowed)
        for option in self.sse:
            _require("sse", option, get_args(Dialect))
        for call in self.tool_calls:
            if set(call) != {"name", "arguments"}:
                raise ValueError(f"a tool call has a name and arguments, not {dict(call)}")
        given = [n for n in ("text", "deltas", "tokens") if getattr(self, n) is not None]
        if len(given) + self.echo > 1:
            raise ValueError(f"give one of text, deltas, tokens, echo, not {given}")
        if self.split is not None and self.split < 1:
            raise ValueError(f"split is a number of bytes, at least 1, not {self.split}")
        if not all(map(_is_latin_1, [self.garbage, *self.headers, *self.headers.values()])):
            raise ValueError("garbage and headers take one character a byte, up to U+00FF")

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> "Behaviour":
        """The behaviour that `given` spells; raises ValueError for a name that does not exist."""
        known = [f.name for f in fields(cls)]
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
                raise ValueError(f"a behaviour has no {name!r}{hint}")
        read: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
        return cls(**read)

    def to_json(self) -> dict[str, Any]:
        """What differs from the default, in JSON's types; `from_json` reads it back."""
        default = Behaviour()
        pairs = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in pairs if value != getattr(default, name)}


HEALTHY = Behaviour()


@dataclass(slots=True, kw_only=True)
class Received:
    """One request as the mock saw it.

    Times are `time.monotonic()`, which on Linux and macOS all processes of a machine share.
    `body` is the parsed JSON, or the text where it is not JSON. `chunks_sent` counts events (or
    the halves of a body that is not a stream). `connection` tells connections apart.
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    arrived: float
    ended: float | None = None
    outcome: Outcome = "running"
    chunks_sent: int = 0


class Script:
    """Behaviours by path: each is used once, the last one again and again."""

    def __init__(self) -> None:
        self._queues: dict[str | None, list[Behaviour]] = {}

    def replace(self, behaviours: Iterable[Behaviour]) -> None:
        """Forget what was scripted and play these, in this order."""
        self._queues = {}
        for behaviour in behaviours:
            self._queues.setdefault(behaviour.path, []).append(behaviour)

    def take(self, path: str) -> Behaviour:
        """The behaviour for a request to `path`; HEALTHY where nothing is scripted for it."""
        queue = self._queues.get(path)
        if queue is None and path in GENERATING:
            queue = self._queues.get(None)
        if not queue:
            return HEALTHY
        return queue.pop(0) if len(queue) > 1 else queue[0]
