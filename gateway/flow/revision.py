"""What an answer makes of the file: the new bytes, a verdict on their syntax, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.client.in_process import Completion
from gateway.domain.answer import Answer, Original, Protocol, Remark, Resolution, resolve
from gateway.domain.syntax_errors import SyntaxErrors, Verdict, verdict
from gateway.flow.context import Context
from gateway.flow.task import Task


@dataclass(frozen=True, slots=True)
class Revision:
    """`after` are the bytes of the whole file, those of now unless the status is `changed`."""

    resolution: Resolution
    after: bytes = field(repr=False)
    syntax: Verdict = "unknown"

    @property
    def problem(self) -> str:
        """What the model should mend, said to it; empty where there is nothing to."""
        if self.resolution.status == "unresolved":
            return " ".join(remark.message for remark in self.resolution.warnings)
        return _WORSE if self.syntax == "worse" else ""

    @property
    def rank(self) -> int:
        """0 is best: of two answers to one question the lower is worth more."""
        return 2 if self.resolution.status in ("unresolved", "truncated") else bool(self.problem)


_WORSE = "With the answer in its place the file has more syntax errors than before."


def revise(
    task: Task, context: Context, said: Completion, text: str, syntax: SyntaxErrors | None = None
) -> Revision:
    """The answer `text` of `said`, its control tokens restored, fitted into the file."""
    material, rendered = task.question.material, context.rendered
    file, span = material.file, material.span
    protocol = Protocol(
        tag=rendered.tag or "rewritten",
        prefill=rendered.prefill or "",
        echoes=tuple(tag + rendered.suffix for tag in ("selected", "selection")),
        edits=rendered.edits,
    )
    answer = Answer(text, said.finish_reason, said.stop_reason)
    resolution = resolve(answer, Original.of(file, span), protocol)
    if resolution.status != "changed":
        return Revision(resolution, file.content)
    after = file.replace(span, resolution.text)
    found: Verdict = "unknown"
    if syntax and task.syntax_check:
        found = _verdict(task, after, syntax)
    if found == "worse":
        remark = Remark("syntax", _WORSE)
        resolution = replace(resolution, warnings=(*resolution.warnings, remark))
    return Revision(resolution, after, found)


def _verdict(task: Task, after: bytes, syntax: SyntaxErrors) -> Verdict:
    file = task.question.material.file
    texts = (_text(content, file.encoding) for content in (file.content, after))
    return verdict(syntax, file.language, *texts)


def _text(content: bytes, encoding: str) -> str:
    return content.decode(encoding).removeprefix("\ufeff")
