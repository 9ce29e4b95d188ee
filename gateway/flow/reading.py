"""Reads what a model said: restored, made sense of, asked for again where it is no use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from gateway.client.in_process import Completion
from gateway.domain import language as languages
from gateway.domain import new_file, review, target_path
from gateway.domain.actions import Form
from gateway.domain.answer import Answer, Protocol
from gateway.domain.errors import GatewayError
from gateway.domain.growing import Growing
from gateway.domain.metric import Metric
from gateway.domain.new_file import NewFile
from gateway.domain.ports import Answers, Prompts
from gateway.domain.prompt_metrics import REWRITE_DIFF
from gateway.domain.quotes import Quotes
from gateway.domain.review import Review
from gateway.domain.secret_scan import restore
from gateway.domain.syntax_errors import SyntaxErrors, verdict
from gateway.flow.job import Job
from gateway.flow.provenance import remark_of
from gateway.flow.repair import Repair, both, fits
from gateway.flow.results import commit, explanation, message, reviewing, rewriting, writing
from gateway.flow.revision import Revision, revise

Made = TypeVar("Made")
Count = Callable[..., None]  # ports.Telemetry.count
_DIFFS = {"changed": "applies", "no_change": "empty"}
_LARGE = 8_000
"""Bytes of files, and characters of an answer, that are too much work for the event loop: some
milliseconds."""


def uncounted(metric: Metric, *labels: str) -> None:
    """Where nobody counts."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer that is a text: there is nothing to mend in it."""

    text: str = field(repr=False)
    problem: str = ""
    rank: int = 0


Read = Revision | Review | NewFile | Spoken
"""What became of an answer: its `problem`, which may be mended, and its `rank`, 0 being best."""


class Reading:
    """Makes results of answers. Without `syntax` nobody looks whether a rewrite still parses;
    `count` hears what became of each."""

    def __init__(
        self,
        answers: Answers,
        prompts: Prompts,
        syntax: SyntaxErrors | None,
        count: Count = uncounted,
    ) -> None:
        self._prompts = prompts
        self._count = count
        self._syntax = syntax
        self._repair = Repair(answers, time.monotonic)

    async def result(self, job: Job, said: Completion, found: Read) -> dict[str, Any]:
        """The whole answer to the client; `found` is what `read` said of it."""
        if not self.repairs(job, said, found):
            self._tell(job, found)
            return await _result(job, said, found)
        try:
            second = await self._repair.again(job.call, job.context, said, found.problem)
        except GatewayError as error:
            self._tell(job, found)
            result = await _result(job, said, found)
            why = f"The answer was asked for again, without success: {error.public}"
            result["warnings"].append(remark_of("repair_failed", why))
            return result
        repaired = await self.read(job, second)
        better = repaired.rank < found.rank
        self._tell(job, repaired if better else found)
        said = both(said, second) if better else replace(both(said, second), text=said.text)
        result = await _result(job, said, repaired if better else found)
        result["repaired"] = better
        if not better:
            why = "The answer was asked for again; the second one was no better."
            result["warnings"].append(remark_of("repair_failed", why))
        return result

    def _tell(self, job: Job, found: Read) -> None:
        ref = job.call.prompt
        if isinstance(found, Revision) and ref is not None:
            self._count(REWRITE_DIFF, ref.text, _DIFFS.get(found.resolution.status, "malformed"))

    def repairs(self, job: Job, said: Completion, found: Read) -> bool:
        """Whether to ask again: where it is wanted, may help, and fits the window."""
        wanted = job.task.repairs and bool(found.problem)
        return wanted and fits(job.context, said, found.problem)

    async def read(self, job: Job, said: Completion) -> Read:
        """What the answer amounts to, by the kind of its action."""
        text = self._prompts.restore(said.text)
        if job.action.kind == "rewrite":
            text = restore(text, job.task.question.material.secrets)
            return await _computed(
                job, said, revise, job.task, job.context, said, text, self._syntax
            )
        answer = Answer(text, said.finish_reason, said.stop_reason)
        if job.action.kind == "review":
            return await _computed(job, said, _reviewed, job, answer)
        if job.action.kind == "file":
            return await _computed(job, said, _written, job, answer, self._syntax)
        return Spoken(text)


def _reviewed(job: Job, answer: Answer) -> Review:
    quotes = Quotes(job.task.question.material, job.task.units)
    return review.read(answer, job.context.rendered.schema, quotes)


def _written(job: Job, answer: Answer, syntax: SyntaxErrors | None) -> NewFile:
    material, rendered = job.task.question.material, job.context.rendered
    file = material.file
    path = job.task.target_path
    path = path or target_path.convention(file.path, file.language, material.paths)
    protocol = Protocol(
        tag=rendered.tag or "tests",
        prefill=rendered.prefill or "",
        echoes=tuple(tag + rendered.suffix for tag in ("selected", "selection")),
    )
    found = new_file.read(answer, path, file.language, protocol, file.eol)
    if syntax is None or not job.task.syntax_check or found.status != "created":
        return found
    language = file.language
    if _ending(path) != _ending(file.path):
        language = languages.detect(path)
    return found.judged(verdict(syntax, language, "", found.text))


def _ending(path: str) -> str:
    return path.rpartition(".")[2]


_RESULTS: dict[Form, Callable[..., dict[str, Any]]] = {
    "explanation": explanation,
    "message": message,
    "commit_message": commit,
    "rewriting": rewriting,
    "review": reviewing,
    "file": writing,
}


async def _result(job: Job, said: Completion, found: Read) -> dict[str, Any]:
    made = _RESULTS[job.action.form]
    what = found.text if isinstance(found, Spoken) else found
    return await _computed(job, said, made, job.call, job.task, job.context, said, what)


async def _computed(job: Job, said: Completion, work: Callable[..., Made], *given: Any) -> Made:
    """`work(*given)`, in a thread where the files or the answer are large: other requests go on
    meanwhile."""
    material = job.task.question.material
    related = sum(len(other.content) for other in material.related)
    if len(material.file.content) + related + len(said.text) > _LARGE:
        return await asyncio.to_thread(work, *given)
    return work(*given)


def growing_of(job: Job) -> Growing | None:
    """What finds hunks in the text as it comes; None where it is not the text itself."""
    rendered, material = job.context.rendered, job.task.question.material
    if job.action.kind != "rewrite" or rendered.prefill is None or rendered.edits:
        return None
    return Growing(material.file, material.span, job.task.units)
