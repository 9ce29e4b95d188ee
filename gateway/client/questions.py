"""The questions that a gateway answers: one function for each action, and a preview of any.

A client sends them (`client.explain(…)` is `client.send(questions.explain(…))`), streams them, or
previews them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack

from gateway.client.files import File, Rule
from gateway.client.places import Diagnostic, Range
from gateway.client.results import (
    Answer,
    ChatMessage,
    CommitMessage,
    Explanation,
    PositionEncoding,
    Preview,
    Review,
    Rewriting,
    Sent,
    WrittenTests,
)
from gateway.client.shapes import read

R = TypeVar("R", bound=Answer, covariant=True)
Code = str | os.PathLike[str] | File
"""A path, whose bytes are read now; or a File, whose text an editor has."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str


class Asking(TypedDict, total=False):
    """What may go with any question, by name; all of it optional."""

    lines: tuple[int, int]
    """The first and the last line that it is about, from 1; the whole file when left out."""
    selection: Range
    """The same as positions, in units of `position_encoding`."""
    position_encoding: PositionEncoding
    """Of `selection`, and of all ranges in the answer; utf-32: characters of a Python string."""
    scope: Literal["selection", "auto", "file"]
    related: Sequence[Code]
    rules: Sequence[Rule]
    """Root first."""
    conversation: Sequence[Turn]
    model: str
    prompt: str
    prompt_version: str
    prompt_variant: str
    answer_language: str
    max_output_tokens: int
    repair: int
    """1: an answer that cannot be used is asked for once more."""
    syntax_check: bool
    diff_context: int
    formats: Sequence[Literal["diff", "text", "edits"]]
    session: str
    timeout: float
    """Seconds for the whole answer; the gateway stops the model then."""
    idempotency_key: str
    """The same key and question again: the same answer, and no model is asked."""
    fields: Mapping[str, Any]
    """Further fields of the body that this client does not know of."""


class More(Asking, total=False):
    """The same, and what compilers and linters say."""

    diagnostics: Sequence[Diagnostic]


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """One request: POST /api/ai/{action} with `body`, answered by a `kind`."""

    action: str
    kind: type[R]
    body: Mapping[str, Any] = field(repr=False)
    sent: Sent = field(default_factory=Sent)
    timeout: float | None = None
    idempotency_key: str | None = None

    def read(self, payload: object) -> R:
        """The answer in `payload`. InvalidAnswer where it is none."""
        answer = read(self.kind, payload)
        return replace(answer, sent=self.sent) if isinstance(answer, Rewriting) else answer


def explain(file: Code, question: str = "", **asking: Unpack[More]) -> Question[Explanation]:
    """What does this code do, or an answer to `question` about it."""
    return _ask("explain", Explanation, file, question, asking)


def rewrite(file: Code, instruction: str, **asking: Unpack[More]) -> Question[Rewriting]:
    """Change the code as the instruction says."""
    return changing("rewrite", file, instruction, **asking)


def docstring(file: Code, instruction: str = "", **asking: Unpack[More]) -> Question[Rewriting]:
    """Add the documentation that the code lacks."""
    return changing("docstring", file, instruction, **asking)


def fix(
    file: Code,
    diagnostics: Sequence[Diagnostic],
    instruction: str = "",
    **asking: Unpack[Asking],
) -> Question[Rewriting]:
    """Mend what a compiler or linter says; at least one diagnostic."""
    more: More = {**asking, "diagnostics": diagnostics}
    return changing("fix", file, instruction, **more)


def changing(
    action: Literal["rewrite", "docstring", "fix"],
    file: Code,
    instruction: str,
    **asking: Unpack[More],
) -> Question[Rewriting]:
    """One of the three above, by its name."""
    return _ask(action, Rewriting, file, instruction, asking)


def review(file: Code, instruction: str = "", **asking: Unpack[More]) -> Question[Review]:
    """Find what is wrong with the code."""
    return _ask("review", Review, file, instruction, asking)


def tests(
    file: Code,
    instruction: str = "",  # noqa: PT028
    *,
    target_path: str = "",  # noqa: PT028
    **asking: Unpack[More],
) -> Question[WrittenTests]:
    """Write a file of tests; at `target_path` in the project, or where the language has them."""
    question = _ask("tests", WrittenTests, file, instruction, asking)
    if not target_path:
        return question
    options = {**question.body.get("options", {}), "target_path": target_path}
    return replace(question, body={**question.body, "options": options})


def commit_message(
    diff: str, instruction: str = "", **asking: Unpack[More]
) -> Question[CommitMessage]:
    """Describe a unified diff, as `git diff --cached` prints it."""
    question = _ask("commit-message", CommitMessage, None, instruction, asking)
    return replace(question, body={**question.body, "diff": diff})


def chat(message: str, file: Code | None = None, **asking: Unpack[More]) -> Question[ChatMessage]:
    """Answer a message, after `conversation`, with or without a file."""
    return _ask("chat", ChatMessage, file, message, asking)


def preview(question: Question[Any]) -> Question[Preview]:
    """What would go into the prompt of `question`; no model is asked."""
    body = {**question.body, "action": question.action}
    return Question("context/preview", Preview, body, question.sent, question.timeout)


def _ask(
    action: str, kind: type[R], file: Code | None, instruction: str, asking: More
) -> Question[R]:
    _check(file, asking)
    units = asking.get("position_encoding", "utf-32")
    body: dict[str, Any] = {}
    sent = Sent(position_encoding=units)
    if file is not None:
        opened = _opened(file)
        sent = Sent(opened.path, opened.encoding, units)
        body["position_encoding"] = units
        body["file"] = {
            "path": opened.path,
            "content": opened.text,
            "encoding": opened.encoding,
            "sha256": opened.sha256,
            **({"language": opened.language} if opened.language else {}),
        }
        if selection := _selection(opened, asking):
            body["selection"] = selection.as_json()
    if instruction:
        body["instruction"] = instruction
    body |= _context(asking) | _choices(asking)
    for name, value in asking.get("fields", {}).items():
        body[name] = _joined(body.get(name), value)
    key = asking.get("idempotency_key")
    return Question(action, kind, body, sent, asking.get("timeout"), key)


def _check(file: Code | None, asking: Asking) -> None:
    """TypeError for a name that nothing has, which would have no effect; ValueError for lines of
    no file."""
    for name in sorted(asking.keys() - More.__optional_keys__):
        known = ", ".join(sorted(More.__optional_keys__))
        raise TypeError(f"{name!r} is no argument of a question; there are: {known}")
    if file is None and ("lines" in asking or "selection" in asking):
        raise ValueError("lines and selection go with a file: give one")


def _joined(group: Any, value: Any) -> Any:
    """A further field; one that is a group, `options` say, adds to what it already holds."""
    both = isinstance(group, dict) and isinstance(value, Mapping)
    return {**group, **value} if both else value


def _opened(file: Code) -> File:
    return file if isinstance(file, File) else File.read(file)


def _selection(file: File, asking: Asking) -> Range | None:
    if "lines" in asking and "selection" in asking:
        raise ValueError("give lines or selection, not both")
    if "lines" not in asking:
        return asking.get("selection")
    if asking.get("position_encoding", "utf-32") != "utf-32":
        raise ValueError("lines go with the usual position_encoding only; give a selection")
    return file.lines(*asking["lines"])


def _context(asking: More) -> dict[str, Any]:
    """What is sent along with the file."""
    related = [_opened(one) for one in asking.get("related", ())]
    found: dict[str, Any] = {
        "related": [
            {"path": one.path, "content": one.text, "reason": "attached"} for one in related
        ],
        "rules": [{"path": one.path, "content": one.content} for one in asking.get("rules", ())],
        "diagnostics": [one.as_json() for one in asking.get("diagnostics", ())],
        "conversation": [
            {"role": one.role, "content": one.content} for one in asking.get("conversation", ())
        ],
    }
    return {name: rows for name, rows in found.items() if rows}


def _choices(asking: Asking) -> dict[str, Any]:
    """How it is to be answered."""
    prompt = {
        "name": asking.get("prompt"),
        "version": asking.get("prompt_version"),
        "variant": asking.get("prompt_variant"),
    }
    names = ("max_output_tokens", "repair", "syntax_check", "diff_context")
    options: dict[str, Any] = {name: asking.get(name) for name in names}
    options["format"] = list(asking["formats"]) if "formats" in asking else None
    found: dict[str, Any] = {
        "prompt": _given(prompt),
        "options": _given(options),
        "client": _given({"session": asking.get("session")}),
        "model": asking.get("model"),
        "answer_language": asking.get("answer_language"),
        "scope": asking.get("scope"),
    }
    return {name: value for name, value in found.items() if value}


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
