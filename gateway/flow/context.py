"""Makes a prompt of the material of one question: counts, fits, renders, counts again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.domain.answer import Remark
from gateway.domain.budget import Budget
from gateway.domain.candidates import candidates
from gateway.domain.context import SHRINKS, Fitted, fit, measured, shrink
from gateway.domain.item import Item, Kind, Part, strings
from gateway.domain.material import Survey, nearest
from gateway.domain.ports import Prompts, Tokens
from gateway.domain.prompt import Prompt, Rendered
from gateway.domain.step import REDACTED, Told, stepping, untold
from gateway.flow.sessions import Sessions
from gateway.flow.survey import Surveyed, Surveyor
from gateway.flow.task import Question

# (window, tokens of the selection) -> tokens to keep for the answer
Reserve = Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class Context:
    """Messages that fit the window, and what became of every part. `exact` is False when no
    replica and no tokenizer could be asked, so that the counts are estimates. `question` is the one
    that was asked, with the lines that it came to be about, and `survey` what is in its files;
    `remarks` are for the client."""

    question: Question = field(repr=False)
    rendered: Rendered
    fitted: Fitted = field(repr=False)
    exact: bool
    remarks: tuple[Remark, ...] = ()
    survey: Survey = field(default_factory=Survey, repr=False)


class ContextBuilder:
    """Asks `tokens` for exact counts, and `prompts` for the words. `surveyor` looks at the material
    first, and `sessions` remember what went into the last prompt. What takes long runs in threads.
    """

    def __init__(
        self,
        prompts: Prompts,
        tokens: Tokens,
        surveyor: Surveyor,
        sessions: Sessions,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._prompts = prompts
        self._tokens = tokens
        self._surveyor = surveyor
        self._sessions = sessions

    async def build(
        self,
        question: Question,
        model: str,
        reserve: Reserve,
        team: str = "",
        told: Told = untold,
    ) -> Context:
        """The largest context that leaves the reserve free. ContextTooLarge (413) when the parts
        that must go in do not fit; UnknownPrompt, PromptInputError (422); DeniedPath, SecretFound
        (403). `told` hears of the steps."""
        ref = self._prompts.get(question.prompt).ref
        with stepping("context.build", self._clock, told) as facts:
            facts["gen_ai.prompt.name"] = ref.name
            surveyed, fitted = await self._choose(question, model, reserve, team)
            facts["gw.context.window"] = fitted.budget.window
            facts["gw.context.reserve"] = fitted.budget.reserve
            facts["gw.context.parts"] = len(fitted.parts)
            facts |= {REDACTED + kind: count for kind, count in surveyed.secrets.items()}
        with stepping(f"render_prompt {ref.name}", self._clock, told) as facts:
            facts["gen_ai.prompt.name"] = ref.name
            context = await self._fit(surveyed, model, fitted)
            facts["gw.context.tokens"] = context.fitted.used
            facts["gw.context.exact"] = context.exact
            facts["gw.context.cut"] = _cut(context.fitted)
        return context

    async def _choose(
        self, question: Question, model: str, reserve: Reserve, team: str
    ) -> tuple[Surveyed, Fitted]:
        """What is to go in, by the counts of its parts."""
        places = self._sessions.places((team, question.session))
        surveyed = await asyncio.to_thread(self._surveyor, question, places)
        material = surveyed.question.material
        window = await self._tokens.window(model)
        (size,) = await self._tokens.count_texts(model, [material.selected])
        budget = Budget(window, reserve(window, size.tokens))
        every = await asyncio.to_thread(candidates, material, budget, surveyed.survey)
        items = _wanted(every, self._prompts.get(question.prompt))
        named = strings(items)
        counts = await self._tokens.count_texts(model, list(named.values()))
        tokens = {key: count.tokens for key, count in zip(named, counts, strict=True)}
        overhead, _ = await self._count(model, self._render(surveyed.question, None))
        return surveyed, await asyncio.to_thread(fit, items, tokens, budget, overhead)

    def remember(self, context: Context, team: str = "") -> None:
        """The next prompt of this session should be like this one."""
        places = {part.path: part.item.rank for part in context.fitted.of("related")}
        self._sessions.remember((team, context.question.session), places)

    async def _fit(self, surveyed: Surveyed, model: str, fitted: Fitted) -> Context:
        question = surveyed.question
        for attempt in range(SHRINKS + 1):
            rendered = await asyncio.to_thread(self._render, question, fitted)
            total, exact = await self._count(model, rendered)
            if fitted.holds(total) or attempt == SHRINKS:
                break
            fitted = await asyncio.to_thread(shrink, fitted, total)
        fitted = measured(await self._recounted(model, fitted), total)
        remarks = (*surveyed.remarks, *_cut_rules(fitted))
        return Context(question, rendered, fitted, exact, remarks, surveyed.survey)

    async def _recounted(self, model: str, fitted: Fitted) -> Fitted:
        """What was cut within a text that had been counted whole is an estimate: count it now."""
        cut = {part.id: part.text for part in fitted.parts if part.state == "trimmed"}
        counts = await self._tokens.count_texts(model, list(cut.values()))
        found = dict(zip(cut, counts, strict=True))
        parts = tuple(
            replace(part, tokens=found[part.id].tokens) if part.id in found else part
            for part in fitted.parts
        )
        return replace(fitted, parts=parts)

    async def _count(self, model: str, rendered: Rendered) -> tuple[int, bool]:
        open_end = rendered.prefill is not None
        messages = messages_of(rendered)
        counted = await self._tokens.count_messages(model, messages, continue_final=open_end)
        return counted.tokens, counted.exact

    def _render(self, question: Question, fitted: Fitted | None) -> Rendered:
        """The prompt of what fits; with None, of nothing: only its own words."""
        inputs = _inputs(question, fitted)
        declared = self._prompts.get(question.prompt).inputs
        known = {name: value for name, value in inputs.items() if name in declared}
        return self._prompts.render(question.prompt, known)


_INPUTS: dict[Kind, str] = {
    "instruction": "instruction",
    **dict.fromkeys(("selection", "before", "after"), "file"),
    **dict.fromkeys(("related", "declaration", "edit"), "related"),
    "rule": "rules",
    "diagnostics": "diagnostics",
    "turn": "conversation",
}


def _wanted(items: list[Item], prompt: Prompt) -> list[Item]:
    """`items` with those refused that the prompt has no input for: the report would not be true."""
    why = f"the prompt {prompt.ref.name} does not use it"
    return [
        item
        if _INPUTS[item.kind] in prompt.inputs
        else replace(item, pieces=(), forms=(), required=False, refused=item.refused or why)
        for item in items
    ]


def messages_of(rendered: Rendered) -> list[dict[str, str]]:
    """The messages to send: with a prefill, the last is the assistant's own, begun."""
    messages = [dict(message) for message in rendered.messages]
    if rendered.prefill is not None:
        messages.append({"role": "assistant", "content": rendered.prefill})
    return messages


def _cut(fitted: Fitted) -> int:
    """How many of the candidates did not go in, or not whole, for want of room."""
    parts = {part.id: part for part in fitted.parts}
    wanted = [item for item in fitted.items if not item.refused]
    return sum(item.id not in parts or parts[item.id].state == "trimmed" for item in wanted)


def _cut_rules(fitted: Fitted) -> list[Remark]:
    """Rules that did not go in whole are told of: silence would look like obeying."""
    parts = {part.id: part for part in fitted.parts}
    return [
        Remark("rules_cut", f"{item.path} is not in the prompt as a whole: {_why(item, parts)}.")
        for item in fitted.items
        if item.kind == "rule" and _why(item, parts)
    ]


def _why(item: Item, parts: Mapping[str, Part]) -> str:
    part = parts.get(item.id)
    return part.why if part else item.refused or "no room in its share"


_FILE: dict[str, Kind] = {"before": "before", "selected": "selection", "after": "after"}


def _inputs(question: Question, fitted: Fitted | None) -> Mapping[str, Any]:
    material = question.material
    shown: dict[str, Any] = {}
    if material.has_file:
        file = {"path": material.file.path, "language": material.file.language}
        for name, kind in _FILE.items():
            file[name] = fitted.text(kind) if fitted else ""
        shown["file"] = file
    if fitted is None:
        texts = {"rules": "", "instruction": "", "answer_language": question.answer_language}
        lists = {"related": (), "diagnostics": (), "conversation": ()}
        return {**shown, **texts, **lists}
    said = sum(part.lines for part in fitted.of("diagnostics"))
    turns = [int(part.id.split(":")[1]) for part in fitted.of("turn")]
    return {
        "rules": "\n".join(part.text for part in fitted.of("rule")),
        "related": [
            # Not what it is referenced by: the prompt should change with the files alone.
            {"path": part.path, "reason": part.item.reason.split(";")[0], "text": part.text}
            for part in fitted.of("related", "declaration", "edit")
        ],
        **shown,
        "diagnostics": [
            {"line": one.line + 1, "severity": one.severity, "message": one.message}
            for one in sorted(nearest(material)[:said], key=lambda one: one.line)
        ],
        "conversation": [
            {"role": material.conversation[at].role, "content": material.conversation[at].content}
            for at in sorted(turns)
        ],
        "answer_language": question.answer_language,
        "instruction": material.instruction,
    }
