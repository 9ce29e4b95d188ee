"""What a body of POST /api/ai/* may hold, field by field: one shape for each subject."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.actions import Subject
from gateway.domain.source import PositionEncoding
from gateway.flow.task import Format

Severity = Literal["error", "warning", "information", "hint"]
Name = Annotated[str, Field(min_length=1, max_length=1024)]


class Part(BaseModel):
    """A group of fields; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class At(Part):
    """A position, both numbers from 0."""

    line: int = Field(ge=0)
    character: int = Field(ge=0)


class Range(Part):
    """From `start` up to `end`."""

    start: At
    end: At


class File(Part):
    """The file that the question is about, as the editor has it now."""

    path: Name = Field(
        examples=["src/mean.py"], description="Relative to the project's root, with slashes."
    )
    content: str = Field(
        examples=["def mean(xs):\n    return sum(xs) / len(xs)\n"],
        description="All of it, as the editor has it.",
    )
    language: str | None = Field(
        default=None, description="Such as `python`; by the name of the file when left out."
    )
    encoding: str | None = Field(default=None, description="Encoding on disk; UTF-8 by default.")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-fA-F]{64}$",
        description="Of the bytes on disk; 409 when it is not that of `content`.",
    )
    version: int | None = Field(default=None, description="The editor's own number; no effect.")


class RelatedFile(Part):
    """Another file; `reason` says why it is sent."""

    path: Name
    content: str
    reason: Literal["open", "import", "definition", "attached"] = "open"
    ranges: list[Range] | None = Field(
        default=None, max_length=100, description="The lines that matter, where they are known."
    )
    sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-fA-F]{64}$", description="Of `content` in UTF-8."
    )


class Declaration(Part):
    """What the editor knows of a name: its signature, or all of its text."""

    name: Name
    path: Name
    text: str


class RecentEdit(Part):
    """A change of the last minutes, as a diff."""

    path: Name
    diff: str


class RuleFile(Part):
    """A file of rules such as AGENTS.md, root first."""

    path: Name
    content: str


class Said(Part):
    """What a compiler or linter says."""

    range: Range
    severity: Severity = "error"
    code: str | int | None = None
    message: str


class Message(Part):
    """A turn of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str


class PromptChoice(Part):
    """Another prompt file than the route's own."""

    name: Name | None = Field(default=None, description="Its kind must be the action's.")
    version: str | None = Field(
        default=None,
        description="A version, or a label: `label:working`. What `label:production` "
        "stands for when left out, else the file.",
    )
    variant: str | None = Field(default=None, description="Each caller's own when left out.")


class Options(Part):
    """How to answer."""

    diff_context: int = Field(
        default=3, ge=0, le=100, description="Unchanged lines around a hunk of a rewrite."
    )
    max_output_tokens: int | None = Field(
        default=None, ge=1, description="What there is room for when left out."
    )
    timeout_s: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Seconds for the whole answer."
    )
    format: list[Format] | None = Field(
        default=None, description="What a rewrite comes as; all when left out."
    )
    repair: int = Field(default=0, ge=0, le=1, description="Second tries at a useless answer.")
    syntax_check: bool = Field(default=True, description="Whether a rewrite is parsed.")
    dry_run: bool = Field(default=False, description="Only the context: no model is asked.")
    target_path: Name | None = Field(
        default=None, description="Where the new file of tests goes; by convention when left out."
    )


class Client(Part):
    """What the client says of itself."""

    request_id: str | None = Field(default=None, description="No effect; send X-Request-Id.")
    session: str | None = Field(
        default=None, description="One for each conversation: prompts stay alike, caches warm."
    )
    ide: str | None = Field(default=None, description="No effect.")


class Asked(Part):
    """What every question may hold."""

    instruction: str = Field(
        default="", max_length=4000, description="A wish, a question, a message."
    )
    action: Literal["explain", "fix", "doc", "test", "refactor", "custom"] | None = Field(
        default=None, description="What is meant, on a route that does more than one thing."
    )
    related: list[RelatedFile] = Field(default=[], max_length=64)
    declarations: list[Declaration] = Field(default=[], max_length=256)
    rules: list[RuleFile] = Field(default=[], max_length=64)
    conversation: list[Message] = Field(default=[], max_length=1000)
    recent_edits: list[RecentEdit] = Field(default=[], max_length=64)
    prompt: PromptChoice = PromptChoice()
    model: Name | None = Field(
        default=None, description="The prompt's own when left out, else the gateway's."
    )
    answer_language: str = Field(
        default="", max_length=40, examples=["ko"], description="Such as `ko`."
    )
    options: Options = Options()
    client: Client = Client()


class DiffRequest(Asked):
    """A question about a change."""

    diff: str = Field(description="A unified diff, as `git diff --staged` writes it.")


class MessageRequest(Asked):
    """A message, about a file or none."""

    file: File | None = None
    selection: Range | None = Field(default=None, description="Whole file when left out.")
    position_encoding: PositionEncoding = Field(
        default="utf-16", description="What `character` counts, in the answer too."
    )
    scope: Literal["selection", "auto", "file"] = Field(
        default="selection",
        description="What becomes of `selection`; `auto`: it grows to the whole "
        "definition; `file`: to all of the file.",
    )
    diagnostics: list[Said] = Field(
        default=[], max_length=1000, description="What a compiler or linter says."
    )


class FileRequest(MessageRequest):
    """A question about lines of a file."""

    file: File


SHAPES: dict[Subject, type[DiffRequest | MessageRequest]] = {
    "file": FileRequest,
    "diff": DiffRequest,
    "message": MessageRequest,
}
"""The shape of a body, by what it is about."""
