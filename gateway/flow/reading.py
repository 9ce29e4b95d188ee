"""Reads what a model said: restored, fitted into the file, asked for again where it is no use."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from gateway.client import Completion
from gateway.domain.errors import GatewayError
from gateway.domain.growing import Growing
from gateway.domain.ports import Answers, Prompts
from gateway.domain.secret_scan import restore
from gateway.domain.syntax_errors import SyntaxErrors
from gateway.flow.job import Job
from gateway.flow.repair import Repair, both, fits
from gateway.flow.results import explanation, remark_of, rewriting
from gateway.flow.revision import Revision, revise

Made = TypeVar("Made")
_LARGE = 8_000  # bytes of a file that is too much work for the event loop: some milliseconds


class Reading:
    """Makes results of answers. Without `syntax` nobody looks whether a rewrite still parses."""

    def __init__(self, answers: Answers, prompts: Prompts, syntax: SyntaxErrors | None) -> None:
        self._prompts = prompts
        self._syntax = syntax
        self._repair = Repair(answers, time.monotonic)

    async def result(self, job: Job, said: Completion, revision: Revision | None) -> dict[str, Any]:
        """The whole answer to the client; `revision` is what `revised` said of it."""
        if revision is None:
            text = self._prompts.restore(said.text)
            return explanation(job.call, job.task, job.context, said, text)
        if not self.repairs(job, said, revision):
            return await self._rewriting(job, said, revision)
        try:
            second = await self._repair.again(job.call, job.context, said, revision.problem)
        except GatewayError as error:
            result = await self._rewriting(job, said, revision)
            why = f"The answer was asked for again, without success: {error.public}"
            result["warnings"].append(remark_of("repair_failed", why))
            return result
        repaired = await self.revised(job, second)
        assert repaired is not None  # it is a rewrite, as the first was
        better = repaired.rank < revision.rank
        said = both(said, second) if better else replace(both(said, second), text=said.text)
        result = await self._rewriting(job, said, repaired if better else revision)
        result["repaired"] = better
        if not better:
            why = "The answer was asked for again; the second one was no better."
            result["warnings"].append(remark_of("repair_failed", why))
        return result

    def repairs(self, job: Job, said: Completion, revision: Revision) -> bool:
        """Whether to ask again: where it is wanted, may help, and fits the window."""
        wanted = job.task.repairs and bool(revision.problem)
        return wanted and fits(job.context, said, revision.problem)

    async def revised(self, job: Job, said: Completion) -> Revision | None:
        """What the answer makes of the file; None for an explanation."""
        if job.action != "rewrite":
            return None
        text = restore(self._prompts.restore(said.text), job.task.question.material.secrets)
        return await _computed(job, revise, job.task, job.context, said, text, self._syntax)

    async def _rewriting(self, job: Job, said: Completion, revision: Revision) -> dict[str, Any]:
        return await _computed(job, rewriting, job.call, job.task, job.context, said, revision)


async def _computed(job: Job, work: Callable[..., Made], *given: Any) -> Made:
    """`work(*given)`, in a thread where the file is large: other requests go on meanwhile."""
    if len(job.task.question.material.file.content) > _LARGE:
        return await asyncio.to_thread(work, *given)
    return work(*given)


def growing_of(job: Job) -> Growing | None:
    """What finds hunks in the text as it comes; None where it is not the text itself."""
    rendered, material = job.context.rendered, job.task.question.material
    if job.action != "rewrite" or rendered.prefill is None or rendered.edits:
        return None
    return Growing(material.file, material.span, job.task.units)
