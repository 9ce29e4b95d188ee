"""What is asked of the assist room: a Question about code, and the Task around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.domain.answer import Remark
from gateway.domain.material import Material
from gateway.domain.source import PositionEncoding

Format = Literal["diff", "text", "edits"]
ALL_FORMATS: frozenset[Format] = frozenset(("diff", "text", "edits"))


@dataclass(frozen=True, slots=True)
class Question:
    """The material, and the name of the prompt that puts it into words.

    `scope` is `auto` where the selection should grow to the definition that it is in; `session`
    names what the client works on, so that its next prompt is like its last."""

    material: Material
    prompt: str
    answer_language: str = ""
    scope: Literal["selection", "auto", "file"] = "selection"
    session: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One request to /api/ai/*, read and checked. `units` are those of the client's positions;
    `max_tokens` bounds the answer, None for the gateway's own bound; `remarks` is what the client
    should know about its request; `session` is the client's name for what it works on. A rewrite
    comes in `formats`; with `repairs` an answer that cannot be used is asked for once more. With
    `dry_run` no model is asked. A new file goes to `target_path`, None for where its kind goes."""

    question: Question
    model: str | None = None
    prompt_version: str | None = None
    prompt_variant: str | None = None
    session: str = ""
    units: PositionEncoding = "utf-16"
    diff_context: int = 3
    max_tokens: int | None = None
    formats: frozenset[Format] = ALL_FORMATS
    repairs: bool = False
    syntax_check: bool = True
    dry_run: bool = False
    target_path: str | None = None
    remarks: tuple[Remark, ...] = ()
