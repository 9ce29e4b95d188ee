"""The actions of /api/ai/*: what each asks for, answers with, and which prompt it uses: ACTIONS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "rewrite", "review", "file"]
"""What the gateway makes of an answer: the `output.kind` of a prompt file."""

Subject = Literal["file", "diff", "message"]
"""What a body is about: lines of a file, a change, or a message to which a file may be added."""

Form = Literal["explanation", "rewriting", "review", "file", "commit_message", "message"]
"""The shape of a result."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action: POST /api/ai/{name}, and the same with /stream.

    `prompt` is used where a request names none; any prompt of this `kind` may be named. A body must
    hold what `needs` names; `options` are the fields of `options` that only this action has.
    `intents` are the words of the body's field `action` that this route takes, each with the action
    that is meant.
    """

    name: str
    prompt: str
    kind: Kind
    form: Form
    summary: str
    example: Mapping[str, Any] = field(repr=False)
    needs: tuple[str, ...] = ("file",)
    subject: Subject = "file"
    options: tuple[str, ...] = ()
    intents: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        """What only this shape of result has, besides COMMON."""
        return FIELDS[self.form]


COMMON = (
    *("id", "warnings", "model", "served_model", "replica", "finish_reason", "attempts", "usage"),
    *("prompt", "context"),
)
"""What every result has."""

FIELDS: Mapping[Form, tuple[str, ...]] = {
    "explanation": ("explanation", "references", "range"),
    "rewriting": (
        *("status", "text", "diff", "edits", "hunks", "range", "base_sha256", "result_sha256"),
        *("newline", "syntax", "adjusted", "repaired", "notes"),
    ),
    "review": ("status", "summary", "findings", "range", "repaired"),
    "file": ("status", "path", "text", "diff", "sha256", "range", "syntax", "repaired", "notes"),
    "commit_message": ("message", "subject", "body"),
    "message": ("message",),
}

INTENTS: Mapping[str, str] = {
    "explain": "explain",
    "fix": "fix",
    "doc": "docstring",
    "test": "tests",
    "refactor": "rewrite",
    "custom": "rewrite",
}
"""The words of the body's field `action`, each with the action whose route is meant."""

_FILE = {"path": "mean.py", "content": "def mean(xs):\n    return sum(xs) / len(xs)\n"}
_SHORT = {"max_output_tokens": 120}
_DIFF = """\
diff --git a/mean.py b/mean.py
--- a/mean.py
+++ b/mean.py
@@ -1,2 +1,4 @@
 def mean(xs):
+    if not xs:
+        return 0
     return sum(xs) / len(xs)
"""
_SAID = {
    "range": {"start": {"line": 1, "character": 11}, "end": {"line": 1, "character": 28}},
    "severity": "warning",
    "message": "Division by zero when xs is empty.",
}

ACTIONS: tuple[Action, ...] = (
    Action(
        name="explain",
        prompt="code/explain",
        kind="text",
        form="explanation",
        summary="Explain code",
        example={"file": _FILE, "options": _SHORT},
        intents={"explain": "explain", "custom": "explain"},
    ),
    Action(
        name="rewrite",
        prompt="code/rewrite",
        kind="rewrite",
        form="rewriting",
        summary="Rewrite code: the new text, and a diff that `git apply` accepts",
        example={
            "file": _FILE,
            "instruction": "Return 0 for an empty list.",
            "options": _SHORT,
        },
        needs=("file", "instruction"),
        intents={"fix": "fix", "doc": "docstring", "refactor": "rewrite", "custom": "rewrite"},
    ),
    Action(
        name="docstring",
        prompt="code/docstring",
        kind="rewrite",
        form="rewriting",
        summary="Document code: a rewrite that adds comments of documentation",
        example={"file": _FILE, "options": _SHORT},
        intents={"doc": "docstring"},
    ),
    Action(
        name="fix",
        prompt="code/fix",
        kind="rewrite",
        form="rewriting",
        summary="Fix what a compiler or linter says: a rewrite",
        example={"file": _FILE, "diagnostics": [_SAID], "options": _SHORT},
        needs=("file", "diagnostics"),
        intents={"fix": "fix"},
    ),
    Action(
        name="review",
        prompt="code/review",
        kind="review",
        form="review",
        summary="Review code: findings, each at its line",
        example={"file": _FILE, "options": {"max_output_tokens": 300}},
    ),
    Action(
        name="tests",
        prompt="code/tests",
        kind="file",
        form="file",
        summary="Write tests of code: a new file, and a diff that creates it",
        example={"file": _FILE, "options": {"max_output_tokens": 300}},
        options=("target_path",),
        intents={"test": "tests"},
    ),
    Action(
        name="commit-message",
        prompt="code/commit-message",
        kind="text",
        form="commit_message",
        summary="Write the commit message of a change",
        example={"diff": _DIFF, "options": _SHORT},
        needs=("diff",),
        subject="diff",
    ),
    Action(
        name="chat",
        prompt="code/chat",
        kind="text",
        form="message",
        summary="Answer a message, about a file or none",
        example={"instruction": "What does a mutex do?", "options": _SHORT},
        needs=("instruction",),
        subject="message",
    ),
)

BY_NAME: Mapping[str, Action] = {action.name: action for action in ACTIONS}
"""Each action by its name, which is the last part of its URL."""


def meant(action: Action, intent: str | None) -> Action | None:
    """The action whose prompt a body's field `action` asks for on this route; None where the route
    has nothing to do with it."""
    if intent is None:
        return action
    name = action.intents.get(intent)
    return None if name is None else BY_NAME[name]


def own_options() -> Mapping[str, tuple[str, ...]]:
    """The fields of `options` that not every action has, each with the actions that do."""
    names = {name for action in ACTIONS for name in action.options}
    return {
        name: tuple(action.name for action in ACTIONS if name in action.options)
        for name in sorted(names)
    }
