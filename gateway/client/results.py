"""What the gateway answers to each question, as frozen dataclasses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.client.errors import NothingToApply, StaleFile
from gateway.client.places import Range

PositionEncoding = Literal["utf-8", "utf-16", "utf-32"]


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class AnswerWarning:
    """Something to show next to the answer."""

    code: str
    message: str
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, of all that was asked for this answer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class PromptUsed:
    """Which text of which prompt was used."""

    name: str
    version: str = ""
    sha: str = ""
    variant: str | None = None
    locale: str | None = None
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class ContextItem:
    """One part of the context, what became of it, and why."""

    id: str
    kind: str
    state: str
    """included, outlined, ranges, trimmed or dropped."""
    tokens: int
    reason: str = ""
    why: str | None = None
    path: str = ""
    range: Range | None = None
    ranges: tuple[Range, ...] = ()
    redacted: int = 0
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class ContextReport:
    """What went into the prompt; all numbers are tokens."""

    window: int
    reserved_output: int
    used: int
    exact: bool = True
    prefix_sha: str = ""
    items: tuple[ContextItem, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Edit:
    """A text edit of the language server protocol, in positions of the old file."""

    range: Range
    new_text: str
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Hunk:
    """The numbers of one `@@` line of a diff, and how many lines it adds and removes."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    added: int
    removed: int
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a review found; `range` is None where its place is not certain."""

    severity: str
    message: str
    category: str = ""
    quote: str = ""
    suggestion: str | None = None
    range: Range | None = None
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Reference:
    """A place that an explanation speaks of; it exists."""

    path: str
    range: Range | None = None
    name: str = ""
    extra: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What every answer has: where it came from, and what went into it."""

    id: str
    warnings: tuple[AnswerWarning, ...] = ()
    model: str = ""
    served_model: str = ""
    replica: str = ""
    finish_reason: str | None = None
    attempts: int | None = None
    usage: Usage | None = None
    prompt: PromptUsed | None = None
    context: ContextReport | None = None
    extra: Mapping[str, Any] = field(default_factory=_nothing)
    """What this client does not know of yet, by name."""
    raw: Mapping[str, Any] = field(default_factory=_nothing, repr=False, compare=False)
    """The answer as it came."""

    @property
    def truncated(self) -> bool:
        """Whether the model reached its limit of tokens: the end is missing."""
        return self.finish_reason == "length"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Answer):
    """Markdown about some lines."""

    explanation: str
    range: Range | None = None
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage(Answer):
    """A message, in Markdown."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMessage(Answer):
    """A commit message; `subject` is its first line."""

    message: str
    subject: str = ""
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review(Answer):
    """Findings. `status`: reviewed; truncated: more was to come; unresolved: `text` is all."""

    status: str
    summary: str = ""
    findings: tuple[Finding, ...] = ()
    range: Range | None = None
    text: str | None = None
    repaired: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTests(Answer):
    """A new file: where it goes, and a diff that creates it. `status`: created, truncated or
    unresolved; see docs/reference/actions.md."""

    status: str
    path: str = ""
    text: str = ""
    diff: str | None = None
    sha256: str | None = None
    range: Range | None = None
    notes: str | None = None
    repaired: bool = False
    syntax: str = "unknown"

    def content(self) -> bytes:
        """The bytes of the new file. NothingToApply when there is none for certain."""
        _certain(self.status, "created")
        raw = self.text.encode()
        if self.sha256 is not None and hashlib.sha256(raw).hexdigest() != self.sha256:
            raise NothingToApply("the text is not that of the answer's sha256; ask again")
        return raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(Answer):
    """What a prompt would hold; no model was asked."""

    range: Range | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """How the file of a question was sent."""

    path: str = ""
    encoding: str = "utf-8"
    position_encoding: PositionEncoding = "utf-32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting(Answer):
    """New code. `status`: changed, no_change, truncated or unresolved; see docs/reference."""

    status: str
    base_sha256: str
    result_sha256: str
    hunks: tuple[Hunk, ...] = ()
    text: str | None = None
    diff: str | None = None
    edits: tuple[Edit, ...] | None = None
    range: Range | None = None
    newline: str = ""
    adjusted: tuple[str, ...] = ()
    syntax: str = "unknown"
    repaired: bool = False
    notes: str | None = None
    sent: Sent = Sent()

    def apply(self, content: bytes) -> bytes:
        """`content` with the change made; bytes outside the changed lines stay as they are.

        StaleFile when `content` is not what was sent; NothingToApply when the status says that
        nothing is certain, or when the answer's own hash of the result does not come out.
        """
        # Here, not above: most answers are shown, not applied.
        from gateway.client.applying import applied

        _certain(self.status, "changed", "no_change")
        actual = hashlib.sha256(content).hexdigest()
        if actual != self.base_sha256:
            raise StaleFile(self.base_sha256, actual, path=self.sent.path)
        after = content if self.status == "no_change" else applied(self, content)
        if hashlib.sha256(after).hexdigest() != self.result_sha256:
            raise NothingToApply("the change does not give the file that the answer promises")
        return after


def _certain(status: str, *good: str) -> None:
    if status not in good:
        why = {"truncated": "select less, or allow more output tokens"}
        fix = why.get(status, "read its warnings and text, and ask again with repair=1")
        raise NothingToApply(f"the answer is {status}: {fix}")
