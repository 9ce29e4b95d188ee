"""The room in front of /api/ai/*: from a question about code to an explanation or a diff."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from gateway.client import Completion, Via, chat, chat_stream, completion
from gateway.domain.budget import explain_reserve, rewrite_reserve
from gateway.domain.call import Call, Reply
from gateway.domain.errors import GatewayError, InvalidRequest, LLMError
from gateway.domain.growing import Growing
from gateway.domain.ports import Answers, Prompts, Tokens
from gateway.domain.syntax_errors import SyntaxErrors
from gateway.flow.context import Context, ContextBuilder, Reserve, messages_of
from gateway.flow.repair import Repair, both, fits
from gateway.flow.results import context_report, edit_of, explanation, remark_of, rewriting
from gateway.flow.revision import Revision, revise
from gateway.flow.task import Task
from gateway.flow.unmarking import Unmarking

Made = TypeVar("Made")
Action = Literal["explain", "rewrite"]
Event = tuple[Literal["context", "delta", "hunk", "repair", "result"], dict[str, Any]]
_LARGE = 32_000  # bytes of a file that is too much work for the event loop


class UnfitPrompt(InvalidRequest):
    """A prompt that exists, but not for this or not at this version."""

    status = 422
    code = "unknown_prompt"


@dataclass(frozen=True, slots=True)
class AssistLimits:
    """`model` answers when a request names none (None: the first there is); tokens of an answer."""

    model: str | None = None
    explain_tokens: int = 1024
    rewrite_tokens: int = 4096


@dataclass(slots=True)
class Job:
    """One request on its way: `task` and `context` are there once the caller is known."""

    action: Action
    read: Callable[[], Task]
    call: Call
    task: Task = field(init=False)
    context: Context = field(init=False)
    reply: Reply | None = None


class Assist:
    """Answers over the same pipeline as /v1: keys, policies, slots, retries and telemetry hold."""

    def __init__(
        self,
        answers: Answers,
        prompts: Prompts,
        tokens: Tokens,
        *,
        models: Callable[[], tuple[str, ...]],
        limits: AssistLimits,
        syntax: SyntaxErrors | None = None,
    ) -> None:
        self._answers = answers
        self._prompts = prompts
        self._builder = ContextBuilder(prompts, tokens)
        self._models = models
        self._limits = limits
        self._syntax = syntax
        self._repair = Repair(answers, time.monotonic)

    async def answer(self, job: Job) -> dict[str, Any]:
        """The whole result. `job.read` is called once the caller is known; what it raises, and any
        GatewayError of the pipeline, comes out."""
        said = await chat(self._answers, (), model="", via=self._via(job))
        revision = await self._revised(job, said)
        return await self._result(job, said, revision)

    async def stream(self, job: Job) -> AsyncGenerator[Event]:
        """`context` as the text begins, `delta`s of it, and the one authoritative `result`.
        Between the deltas of a rewrite each `hunk` once it is final; before the result `repair`
        where the answer is asked for again. Close it to stop the model."""
        pieces = chat_stream(self._answers, (), model="", via=self._via(job))
        said: list[str] = []
        async with aclosing(pieces):
            async for piece in pieces:
                if not said:
                    yield "context", context_report(job.context)
                    unmarking = Unmarking(job.context.rendered.prefill or "")
                    growing = _growing(job)
                said.append(piece)
                if text := unmarking.feed(piece):
                    yield "delta", {"text": text}
                    for edit in growing.feed(text) if growing else ():
                        yield "hunk", edit_of(edit)
        if not said:
            yield "context", context_report(job.context)
        elif text := unmarking.end():
            yield "delta", {"text": text}
        assert job.reply is not None  # the stream has come to its end
        whole = completion(job.reply, "".join(said))
        revision = await self._revised(job, whole)
        if revision and self._repairs(job, whole, revision):
            yield "repair", {"problem": revision.problem}
        yield "result", await self._result(job, whole, revision)

    def _via(self, job: Job) -> Via:
        """Messages and model are made in `prepare`: only then is the caller known."""

        def keep(reply: Reply) -> None:
            job.reply = reply

        return Via(job.call, self._prepare(job), keep)

    def _prepare(self, job: Job) -> Callable[[Call], Awaitable[None]]:
        async def prepare(call: Call) -> None:
            job.task = task = job.read()
            self._check_prompt(job)
            call.model = model = self._model(task)
            reserve = self._reserve(job.action, task)
            job.context = await self._builder.build(task.question, model, reserve)
            call.prompt = ref = job.context.rendered.ref
            call.affinity = f"{ref.name}:{call.caller.team}:{task.question.material.file.path}"
            call.body = body_of(job.context, model, stream=call.stream)

        return prepare

    def _check_prompt(self, job: Job) -> None:
        """Only a prompt made for rewriting can be read as a rewrite, and the other way round."""
        name, wanted = job.task.question.prompt, job.task.prompt_version
        prompt = self._prompts.get(name)
        if (prompt.output.get("kind") == "rewrite") != (job.action == "rewrite"):
            raise UnfitPrompt(
                f"The prompt {name} cannot be used to {job.action}; leave prompt.name out, or name "
                f"one whose front matter fits.",
                param="prompt.name",
            )
        if wanted is not None and wanted != prompt.ref.version:
            raise UnfitPrompt(
                f"The prompt {name} is here at version {prompt.ref.version}, not {wanted}; leave "
                "prompt.version out, or send that.",
                param="prompt.version",
            )

    def _model(self, task: Task) -> str:
        prompt = self._prompts.get(task.question.prompt)
        model = task.model or prompt.model or self._limits.model
        if model:
            return model
        models = self._models()
        if not models:
            raise LLMError(detail="no model is known yet: no replica has answered", retry_after=2.0)
        return models[0]

    def _reserve(self, action: Action, task: Task) -> Reserve:
        ours = self._limits.rewrite_tokens if action == "rewrite" else self._limits.explain_tokens
        limit = min(task.max_tokens or ours, ours)
        if action == "explain":
            return lambda window, selection: explain_reserve(window, limit)
        if task.max_tokens is not None:
            return lambda window, selection: limit
        if self._prompts.get(task.question.prompt).output.get("protocol") == "edits":
            return lambda window, selection: rewrite_reserve(selection // 4, limit)
        return lambda window, selection: rewrite_reserve(selection, limit)

    async def _result(
        self, job: Job, said: Completion, revision: Revision | None
    ) -> dict[str, Any]:
        if revision is None:
            text = self._prompts.restore(said.text)
            return explanation(job.call, job.task, job.context, said, text)
        if not self._repairs(job, said, revision):
            return await self._rewriting(job, said, revision)
        try:
            second = await self._repair.again(job.call, job.context, said, revision.problem)
        except GatewayError as error:
            result = await self._rewriting(job, said, revision)
            why = f"The answer was asked for again, without success: {error.public}"
            result["warnings"].append(remark_of("repair_failed", why))
            return result
        repaired = await self._revised(job, second)
        assert repaired is not None  # it is a rewrite, as the first was
        better = repaired.rank < revision.rank
        said = both(said, second) if better else replace(both(said, second), text=said.text)
        result = await self._rewriting(job, said, repaired if better else revision)
        result["repaired"] = better
        if not better:
            why = "The answer was asked for again; the second one was no better."
            result["warnings"].append(remark_of("repair_failed", why))
        return result

    def _repairs(self, job: Job, said: Completion, revision: Revision) -> bool:
        """Whether to ask again: where it is wanted, may help, and fits the window."""
        wanted = job.task.repairs and bool(revision.problem)
        return wanted and fits(job.context, said, revision.problem)

    async def _revised(self, job: Job, said: Completion) -> Revision | None:
        """What the answer makes of the file; None for an explanation."""
        if job.action != "rewrite":
            return None
        text = self._prompts.restore(said.text)
        return await _computed(job, revise, job.task, job.context, said, text, self._syntax)

    async def _rewriting(self, job: Job, said: Completion, revision: Revision) -> dict[str, Any]:
        return await _computed(job, rewriting, job.call, job.task, job.context, said, revision)


async def _computed(job: Job, work: Callable[..., Made], *given: Any) -> Made:
    """`work(*given)`, in a thread where the file is large: other requests go on meanwhile."""
    if len(job.task.question.material.file.content) > _LARGE:
        return await asyncio.to_thread(work, *given)
    return work(*given)


def _growing(job: Job) -> Growing | None:
    """What finds hunks in the text as it comes; None where it is not the text itself."""
    rendered, material = job.context.rendered, job.task.question.material
    if job.action != "rewrite" or rendered.prefill is None or rendered.edits:
        return None
    return Growing(material.file, material.span, job.task.units)


def body_of(context: Context, model: str, *, stream: bool) -> dict[str, Any]:
    """The chat request: the prompt's own parameters, and the answer bounded by what is reserved."""
    rendered = context.rendered
    body: dict[str, Any] = {**rendered.params, "model": model, "stream": stream}
    body["messages"] = messages_of(rendered)
    most = body.get("max_tokens") or context.fitted.budget.reserve
    body["max_tokens"] = min(most, context.fitted.budget.reserve)
    if rendered.stop:
        body["stop"] = list(rendered.stop)
    if rendered.prefill is not None:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body
