"""The room in front of /api/ai/*: from a question about code to its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from gateway.client.in_process import Completion, Via, chat, chat_stream, completion, new_call
from gateway.domain.actions import Kind
from gateway.domain.budget import (
    explain_reserve,
    file_reserve,
    review_reserve,
    rewrite_reserve,
)
from gateway.domain.call import Call, Reply
from gateway.domain.errors import InvalidRequest, LLMError
from gateway.domain.limits import Priority
from gateway.domain.ports import Answers, Prompts
from gateway.domain.prompt import Wanted
from gateway.domain.scope import covers
from gateway.domain.syntax_errors import SyntaxErrors
from gateway.flow.context import Context, ContextBuilder, Reserve, messages_of
from gateway.flow.identify import Identify
from gateway.flow.job import Job
from gateway.flow.provenance import context_report, preview
from gateway.flow.reading import Count, Reading, growing_of, uncounted
from gateway.flow.restoring import restoring_of
from gateway.flow.results import edit_of
from gateway.flow.shadow import Shadows
from gateway.flow.task import Task

Event = tuple[Literal["context", "delta", "hunk", "repair", "result"], dict[str, Any]]


class UnfitPrompt(InvalidRequest):
    """A prompt that exists, but not for this."""

    status = 422
    code = "unknown_prompt"


@dataclass(frozen=True, slots=True)
class AssistLimits:
    """`model` answers when a request names none (None: the first there is). Tokens of an answer:
    `explain_tokens` of one that is a text, `rewrite_tokens` of any other."""

    model: str | None = None
    explain_tokens: int = 1024
    rewrite_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class Extras:
    """What not every assistant has: shadow runs, a look whether a rewrite still parses, and who
    counts what became of it."""

    shadows: Shadows | None = None
    syntax: SyntaxErrors | None = None
    count: Count = uncounted


class Assist:
    """Answers over the same pipeline as /v1: keys, policies, slots, retries and telemetry hold."""

    def __init__(
        self,
        answers: Answers,
        prompts: Prompts,
        builder: ContextBuilder,
        *,
        models: Callable[[], tuple[str, ...]],
        limits: AssistLimits,
        extras: Extras | None = None,
    ) -> None:
        self._answers = answers
        self._prompts = prompts
        self._builder = builder
        self._models = models
        self._limits = limits
        extras = extras or Extras()
        self._shadows = extras.shadows
        self._reading = Reading(answers, prompts, extras.syntax, extras.count)

    async def answer(self, job: Job) -> dict[str, Any]:
        """The whole result; of a rehearsal the context that would be sent. `job.read` is called
        once the caller is known; what it raises comes out, and any GatewayError of the pipeline."""
        said = await chat(self._answers, (), model="", via=self._via(job))
        if job.rehearsed:
            return preview(job.call, job.task, job.context)
        return await self._result(job, said)

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
                    unmarking = restoring_of(job)
                    growing = growing_of(job)
                said.append(piece)
                if text := unmarking.feed(piece):
                    yield "delta", {"text": text}
                    for edit in growing.feed(text) if growing else ():
                        yield "hunk", edit_of(edit)
        if not said:
            yield "context", context_report(job.context)
            if job.rehearsed:
                yield "result", preview(job.call, job.task, job.context)
                return
        elif text := unmarking.end():
            yield "delta", {"text": text}
        assert job.reply is not None  # the stream has come to its end
        whole = completion(job.reply, "".join(said))
        found = await self._reading.read(job, whole)
        if self._reading.repairs(job, whole, found):
            yield "repair", {"problem": found.problem}
        self._offer_shadow(job)
        yield "result", await self._reading.result(job, whole, found)

    def _via(self, job: Job) -> Via:
        """Messages and model are made in `prepare`: only then is the caller known."""

        def keep(reply: Reply) -> None:
            job.reply = reply

        return Via(job.call, self._prepare(job), keep)

    def _prepare(self, job: Job) -> Callable[[Call], Awaitable[None]]:
        async def prepare(call: Call) -> None:
            job.action, job.task = await asyncio.to_thread(job.read)
            call.rehearsal = job.rehearsed = job.rehearsed or job.task.dry_run
            job.task = task = self._with_prompt(job, call)
            call.model = model = self._model(task, call.caller.models)
            Identify.permit(call)  # before its replicas are asked how long texts are
            reserve = self._reserve(job.action.kind, task)
            team = call.caller.team
            job.context = context = await self._builder.build(
                task.question, model, reserve, team, call.stepped
            )
            job.task = replace(task, question=context.question)
            if not job.rehearsed:
                self._builder.remember(context, team)
            call.prompt = ref = job.context.rendered.ref
            call.affinity = f"{ref.name}:{call.caller.team}:{task.question.material.file.path}"
            call.body = body_of(job.context, model, stream=call.stream)

        return prepare

    def _with_prompt(self, job: Job, call: Call) -> Task:
        """The task with the one text of its prompt that this caller gets. An answer can only be
        read as what its prompt asks for."""
        task, question = job.task, job.task.question
        name = question.prompt
        unit = f"{call.caller.team}/{call.caller.key_id}/{task.session}"
        wanted = Wanted(task.prompt_version, task.prompt_variant, question.answer_language, unit)
        prompt = self._prompts.choose(name, wanted)
        kind, needed = prompt.output.get("kind"), job.action.kind
        if kind != needed:
            raise UnfitPrompt(
                f"The prompt {name} cannot be used for /api/ai/{job.action.name}: its output.kind "
                f"is {kind!r}, not {needed!r}; leave prompt.name out, or name one that fits.",
                param="prompt.name",
            )
        return replace(task, question=replace(question, prompt=prompt.ref.key))

    def _model(self, task: Task, allowed: tuple[str, ...]) -> str:
        """Where nobody names one, the first that the caller may ask for."""
        prompt = self._prompts.get(task.question.prompt)
        model = task.model or prompt.model or self._limits.model
        if model:
            return model
        models = self._models()
        if not models:
            raise LLMError(detail="no model is known yet: no replica has answered", retry_after=2.0)
        return next((name for name in models if covers(allowed, name)), models[0])

    def _reserve(self, kind: Kind, task: Task) -> Reserve:
        ours = self._limits.explain_tokens if kind == "text" else self._limits.rewrite_tokens
        limit = min(task.max_tokens or ours, ours)
        if kind == "text":
            return lambda window, selection: explain_reserve(window, limit)
        if task.max_tokens is not None:
            return lambda window, selection: limit
        if kind == "review":
            return lambda window, selection: review_reserve(window, limit)
        if kind == "file":
            return lambda window, selection: file_reserve(window, selection, limit)
        if self._prompts.get(task.question.prompt).output.get("protocol") == "edits":
            return lambda window, selection: rewrite_reserve(selection // 4, limit)
        return lambda window, selection: rewrite_reserve(selection, limit)

    async def _result(self, job: Job, said: Completion) -> dict[str, Any]:
        found = await self._reading.read(job, said)
        self._offer_shadow(job)
        return await self._reading.result(job, said, found)

    def _offer_shadow(self, job: Job) -> None:
        """Once the client has its answer, another variant may answer as well, for nobody."""
        prompt = self._prompts.get(job.task.question.prompt)
        if self._shadows is None or prompt.shadow is None:
            return
        variant, ratio = prompt.shadow
        if variant != prompt.ref.variant:
            self._shadows.offer(ratio, lambda: self._shadow(job, variant))

    async def _shadow(self, job: Job, variant: str) -> None:
        """Walks all rooms, as a call of the same caller that gives way to every other."""
        task, ref = job.task, job.context.rendered.ref
        wanted = Wanted(ref.sha, variant, task.question.answer_language)
        chosen = self._prompts.choose(ref.name, wanted).ref
        question = replace(task.question, prompt=chosen.key)
        call = new_call()
        call.credential, call.tags = job.call.credential, job.call.tags
        call.route, call.priority = f"{job.call.route}#shadow", Priority.BATCH
        call.shadow, call.address = True, job.call.address

        async def prepare(call: Call) -> None:
            call.model = model = job.call.model
            reserve, team = self._reserve(job.action.kind, task), job.call.caller.team
            context = await self._builder.build(question, model, reserve, team, call.stepped)
            call.prompt = context.rendered.ref
            call.body = body_of(context, model, stream=False)

        await chat(self._answers, (), model="", via=Via(call, prepare))


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
